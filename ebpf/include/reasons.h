// Why a packet was passed or dropped. The numbers are those of gateway/reasons.py;
// tests/unit/test_reasons.py holds the two tables together.
#pragma once

enum reason {
    // Passed: where a packet went.
    PASS_DOOR = 0,
    PASS_NAMES = 1,
    PASS_NAMES_FOREIGN = 2,
    PASS_DHCP = 3,
    PASS_ARP = 4,
    PASS_ND = 5,
    PASS_PING = 6,
    PASS_NTP = 7,
    PASS_REPLY = 8,
    PASS_ENROLMENT = 9,

    // Dropped.
    UNCONFIGURED = 16,
    MALFORMED = 17,
    VLAN_TAG = 18,
    ETHERTYPE = 19,
    SPOOFED_MAC = 20,
    SPOOFED_IP = 21,
    FRAGMENT = 22,
    IP_OPTIONS = 23,
    EXTENSION_HEADER = 24,
    IP_PROTOCOL = 25,
    QUIC = 26,
    DOT = 27,
    FOREIGN_DNS = 28,
    FOREIGN_NTP = 29,
    FOREIGN_UDP = 30,
    FOREIGN_ICMP = 31,
    MULTICAST = 32,
    ARP_CLAIM = 33,
    ND_CLAIM = 34,
    ROUTER_ADVERTISEMENT = 35,
    DHCP_ANSWER = 36,
    TO_DEVICE = 37,
    TO_LAN = 38,
    TO_GATEWAY = 39,
    UNKNOWN_DEVICE = 40,
    LOCAL_ONLY = 41,
    QUARANTINED = 42,
    NO_LISTENER = 43,
    RATE_DEVICE = 44,
    RATE_STRANGERS = 45,
};

#define FIRST_DROP 16
#define REASONS    64 // room per device in the counters; the kernel's codes stay below
