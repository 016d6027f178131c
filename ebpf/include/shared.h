// What kernel and user space both read: the layout of every map's keys and values. gateway/steering/layout.py
// repeats it. MAC addresses are the six bytes as a little-endian number; IP addresses and ports are as on the wire.
// Times are nanoseconds of CLOCK_MONOTONIC_COARSE.
#pragma once

#define MARK_DOOR  0x4d01 // to a local listener (docs/architecture.md: marks)
#define MARK_REPLY 0x4d02 // reply to a flow that the LAN opened
#define MARK_LAN   0x4d03 // from a LAN host to a device that the owner opened to it (nftables sets it)

enum kind { KIND_UNKNOWN, KIND_LOCAL, KIND_STANDARD, KIND_QUARANTINED };

// Slots of the listeners' sockmap. Door i has LISTENER_DOOR + 2 i (IPv4) and the next one (IPv6).
enum listener {
    LISTENER_UDP4,
    LISTENER_UDP6,
    LISTENER_TCP4,
    LISTENER_TCP6,
    LISTENER_ENROL4,
    LISTENER_ENROL6,
    LISTENER_DOOR
};
#define LISTENERS 134

// A rate: one packet every `gap` ns, and as many at once as fit into `slack` ns (GCRA, ITU-T I.371).
struct rate {
    __u64 gap;
    __u64 slack;
};

struct settings {
    __u64 mac; // of the DMZ interface
    __u64 address6[2];
    __u64 link_local6[2];
    __u64 lan6[2];
    __u64 lan6_mask[2];
    __u64 dmz6; // the /64's first half
    struct rate packets;
    struct rate control;
    struct rate strangers;
    struct rate openings; // questions and connections of all strangers together
    __u32 address4;
    __u32 dmz4;
    __u32 dmz4_mask;
    __u32 lan4;
    __u32 lan4_mask;
    __u32 lan_ifindex; // 0: the LAN may open nothing
    __u32 answer_foreign_dns;
    __u32 addresses6;           // IPv6 addresses per device
    __u32 addresses6_strangers; // and for all strangers together
    __u32 configured;
};

struct device {
    __u32 slot; // where its counters are; 0 is shared by strangers
    __u32 ip4;  // its lease; 0: none
    __u8 kind;
    __u8 worker; // its door
    __u8 lan;    // whether some LAN host may open connections to it
    __u8 unused;
    __u32 unused2;
    __u64 since; // flows that the LAN opened before are over
};

struct address6 {
    __u64 half[2];
};

// Who holds an IPv6 address, first come (RFC 6620).
struct claim {
    __u64 mac;
    __u64 seen;
    __u32 slot; // against whose allowance it was made
    __u32 unused;
};

// A flow that the LAN opened, as its replies look. IPv4 addresses are v4-mapped.
struct flow {
    __u32 device[4];
    __u32 peer[4];
    __u16 device_port; // ICMP echo: the identifier
    __u16 peer_port;   // ICMP echo: 0
    __u32 protocol;
};

struct counter {
    __u64 packets;
    __u64 bytes;
};

struct event {
    __u64 time;
    __u64 mac;
    __u32 slot;
    __u8 reason;
    __u8 protocol;
    __u8 family; // 4, 6, or 0 where the packet is neither
    __u8 unused;
    __u32 destination[4]; // IPv4 in the first word
    __u16 port;           // destination port, as on the wire
    __u16 unused2;
    __u32 unused3;
};

// guard.c: on which port of the bridge a MAC lives.
struct seat {
    __u64 seen;
    __u32 ifindex;
    __u32 unused;
};

struct port {
    __u64 due;   // its meter
    __u32 taken; // seats ever given (kernel)
    __u32 unused;
    struct counter dropped[2]; // SPOOFED_MAC, RATE_DEVICE; all CPUs
};

struct guard_settings {
    __u64 mac; // of the DMZ interface
    struct rate packets;
    __u32 seats_per_port;
    __u32 unused;
};
