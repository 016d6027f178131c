// Cursor parsers: each checks that a header is whole, moves on, and returns it (or NULL). They never judge.
#pragma once

#ifndef NULL
#define NULL ((void *)0)
#endif

struct cursor {
    void *at;
    void *end;
};

struct ethernet {
    __u8 destination[6];
    __u8 source[6];
    __be16 type;
} __attribute__((packed));

struct arp { // RFC 826 for Ethernet and IPv4
    __be16 hardware;
    __be16 protocol;
    __u8 hardware_length;
    __u8 protocol_length;
    __be16 operation;
    __u8 sender_mac[6];
    __be32 sender;
    __u8 target_mac[6];
    __be32 target;
} __attribute__((packed));

struct ip4 { // RFC 791, 3.1
    __u8 version_length;
    __u8 service;
    __be16 length;
    __be16 id;
    __be16 fragment;
    __u8 ttl;
    __u8 protocol;
    __be16 checksum;
    __be32 source;
    __be32 destination;
} __attribute__((packed));

struct ip6 { // RFC 8200, 3
    __be32 version_class_flow;
    __be16 length;
    __u8 next;
    __u8 hops;
    __u64 source[2];
    __u64 destination[2];
} __attribute__((packed));

struct tcp { // RFC 9293, 3.1
    __be16 source;
    __be16 destination;
    __be32 sequence;
    __be32 acknowledgement;
    __u8 offset;
    __u8 flags;
    __be16 window;
    __be16 checksum;
    __be16 urgent;
} __attribute__((packed));

struct udp { // RFC 768
    __be16 source;
    __be16 destination;
    __be16 length;
    __be16 checksum;
} __attribute__((packed));

struct icmp { // RFC 792, RFC 4443; the second word's meaning depends on the type
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be16 id;
    __be16 sequence;
} __attribute__((packed));

struct bootp { // RFC 2131, 2: as far as we read it
    __u8 operation;
    __u8 hardware;
    __u8 hardware_length;
    __u8 hops;
    __be32 id;
    __be16 seconds;
    __be16 flags;
    __be32 client; // ciaddr
    __be32 yours;
    __be32 server;
    __be32 relay; // giaddr
    __u8 client_mac[6];
} __attribute__((packed));
#define BOOTP_WHOLE 236

struct nd_option { // RFC 4861, 4.6.1
    __u8 type;
    __u8 length; // in units of 8 bytes
    __u8 mac[6];
} __attribute__((packed));

#define TAKE(cursor, type)                                                                                             \
    ({                                                                                                                 \
        struct type *header = (cursor)->at;                                                                            \
        (void *)(header + 1) > (cursor)->end ? NULL : ((cursor)->at = header + 1, header);                             \
    })

static __always_inline __u64 mac_of(const __u8 *bytes) {
    return (__u64)bytes[0] | (__u64)bytes[1] << 8 | (__u64)bytes[2] << 16 | (__u64)bytes[3] << 24 |
           (__u64)bytes[4] << 32 | (__u64)bytes[5] << 40;
}

// The group bit of a MAC address (IEEE 802-2014, 8.2.2): multicast and broadcast.
static __always_inline int is_group_mac(__u64 mac) {
    return mac & 1;
}
