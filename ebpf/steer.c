// What the kernel does with a packet from the DMZ (tc ingress of the DMZ interface), and which flows the LAN may open
// to a device, remembered for their replies (tc egress of the same interface). classify() judges by packet, maps and
// meters; act() counts, claims, steers. Whatever is not explicitly passed is dropped with a reason.
//
// Every verdict leaves its class in skb->cb[0] and the reason that was counted in skb->cb[1]. They differ where a
// packet could not be handed over (NO_LISTENER) and under BPF_PROG_TEST_RUN, in which bpf_sk_assign() always fails.
#include "include/reasons.h"
#include "include/shared.h"
#include "include/parse.h"
#include "include/maps.h"

#define PASS 0 // TC_ACT_OK
#define DROP 2 // TC_ACT_SHOT

#define LOOPBACK 5 // PACKET_LOOPBACK of linux/if_packet.h

#define LINEAR      128 // bytes of headers that we read at most
#define FRAMED(skb) ((skb)->len - (__u32)sizeof(struct ethernet))
#define N16(x)      __builtin_bswap16(x)
#define N32(x)      __builtin_bswap32(x)
#define FLAG(x)     (1ULL << (x))

#define TYPE_IP4        0x0800
#define TYPE_ARP        0x0806
#define TYPE_IP6        0x86dd
#define IP_ICMP         1
#define IP_TCP          6
#define IP_UDP          17
#define IP_FRAGMENT6    44
#define IP_ICMP6        58
#define TCP_SYN         0x02
#define TCP_ACK         0x10
#define STATE_TIME_WAIT 6  // BPF_TCP_TIME_WAIT
#define STATE_LISTEN    10 // BPF_TCP_LISTEN

#define PORT_DNS          53
#define PORT_DHCP_SERVER  67
#define PORT_DHCP_CLIENT  68
#define PORT_NTP          123
#define PORT_NETBIOS_NAME 137
#define PORT_HTTPS        443
#define PORT_DHCP6_SERVER 547
#define PORT_DOT          853
#define PORT_MDNS         5353
#define PORT_LLMNR        5355

#define SAMPLE_GAP    500000000ULL  // two samples a second for each device and reason,
#define SAMPLE_SLACK  1500000000ULL // four at once
#define FLOW_IDLE_TCP (3600 * 1000000000ULL)
#define FLOW_IDLE     (180 * 1000000000ULL)
#define REFRESH       1000000000ULL // a time stamp younger than this is not written again

enum place { WORLD, OURS, OWN, DMZ, LAN, GROUP };

// Everything that the verdict on one packet needs.
struct view {
    const struct settings *settings;
    __u64 now;
    __u64 mac;
    __u32 slot;
    __u32 ip4;
    __u8 kind;
    __u8 worker;
    __u8 family;
    __u8 protocol;
    __u8 group_mac;
    __u8 syn; // opens a TCP connection
    __u8 lan; // the LAN may use the device
    __u64 since;
    __u8 claim; // passing it makes `claimed` this device's
    struct address6 claimed;
    __u32 source[4];
    __u32 destination[4];
    __u16 source_port;
    __u16 destination_port; // as on the wire
};

// ---- meters ----

static __always_inline int take(__u64 *due, __u64 now, const struct rate *rate) {
    __u64 at = *due;
    if (at > now + rate->slack)
        return 0;
    *due = (at > now ? at : now) + rate->gap;
    return 1;
}

// ---- places ----

static __always_inline enum place place4(const struct settings *s, __u32 address) {
    __u8 first = address & 0xff;
    if (address == s->address4)
        return OURS;
    if ((first & 0xf0) == 0xe0 || address == 0xffffffff || address == (s->dmz4 | ~s->dmz4_mask))
        return GROUP;
    if (first == 0 || first == 127 || own4.lookup(&address))
        return OWN;
    if ((address & s->dmz4_mask) == s->dmz4)
        return DMZ;
    if ((address & s->lan4_mask) == s->lan4)
        return LAN;
    return WORLD;
}

static __always_inline int is_link_local6(const struct address6 *a) {
    return (a->half[0] & 0xc0ff) == 0x80fe; // fe80::/10
}

static __always_inline int same6(const struct address6 *a, const __u64 *b) {
    return a->half[0] == b[0] && a->half[1] == b[1];
}

static __always_inline enum place place6(const struct settings *s, const struct address6 *a) {
    if ((a->half[0] & 0xff) == 0xff)
        return GROUP;
    if (same6(a, s->address6) || same6(a, s->link_local6))
        return OURS;
    if (a->half[0] == 0) // unspecified, loopback, v4-mapped and their like: never another machine's
        return OWN;
    struct address6 key = *a;
    if (own6.lookup(&key))
        return OWN;
    if (is_link_local6(a) || a->half[0] == s->dmz6)
        return DMZ;
    if ((a->half[0] & s->lan6_mask[0]) == s->lan6[0] && (a->half[1] & s->lan6_mask[1]) == s->lan6[1])
        return LAN;
    return WORLD;
}

static __always_inline int refuse(enum place place) {
    return place == LAN ? TO_LAN : place == OWN ? TO_GATEWAY : TO_DEVICE;
}

// ---- flows that the LAN opened ----

// Only the LAN's own packets keep a flow alive: a device must not hold a port of the LAN open for good. And no reply
// opens a connection.
static __always_inline int is_reply(struct view *v) {
    if (v->syn || !v->lan)
        return 0;
    struct flow key = {};
    __builtin_memcpy(key.device, v->source, 16);
    __builtin_memcpy(key.peer, v->destination, 16);
    key.device_port = v->source_port;
    key.peer_port = v->destination_port;
    key.protocol = v->protocol;
    __u64 *seen = flows.lookup(&key);
    if (!seen || *seen <= v->since)
        return 0;
    __s64 idle = v->now - *seen; // another CPU may have written it a tick ahead of us
    return idle <= (__s64)(v->protocol == IP_TCP ? FLOW_IDLE_TCP : FLOW_IDLE);
}

// ---- IPv6 addresses, first come (RFC 6620) ----

// An interface identifier made of a MAC address (RFC 4291, appendix A) is that MAC's alone, also while its holder is
// away: else a stranger could be first on the addresses that most devices form.
static __always_inline int is_of_another_mac(const struct view *v, const struct address6 *address) {
    __u64 id = address->half[1]; // its first byte is the lowest
    return (id >> 24 & 0xffff) == 0xfeff && (((id & 0xffffff) ^ 2) | id >> 40 << 24) != v->mac;
}

// Whether the device may use `address`: 0, or `conflict` where it is another's, or ND_CLAIM for one too many.
static __always_inline int claim(struct view *v, const struct address6 *address, int conflict) {
    struct address6 key = *address;
    if (is_of_another_mac(v, &key))
        return conflict;
    struct claim *held = claims6.lookup(&key);
    if (held) {
        if (held->mac != v->mac)
            return conflict;
        if (v->now - held->seen > REFRESH)
            held->seen = v->now;
        return 0;
    }
    __u32 slot = v->slot;
    __u64 *made = claims6_made.lookup(&slot), *freed = claims6_freed.lookup(&slot);
    if (!made || !freed || *made - *freed >= (slot ? v->settings->addresses6 : v->settings->addresses6_strangers))
        return ND_CLAIM;
    v->claim = 1;
    v->claimed = key;
    return 0;
}

// ---- names ----

static __always_inline int names(const struct view *v, enum place place) {
    if (place == OURS)
        return PASS_NAMES;
    return v->settings->answer_foreign_dns ? PASS_NAMES_FOREIGN : FOREIGN_DNS;
}

// ---- what both families share: TCP and UDP to one machine ----

static __always_inline int tcp_to(struct view *v, enum place place) {
    __u16 port = N16(v->destination_port);
    if (port == PORT_DOT)
        return DOT;
    if (port == PORT_DNS)
        return names(v, place);
    if (place == OURS)
        return port == PORT_HTTPS ? PASS_ENROLMENT : TO_GATEWAY;
    return PASS_DOOR;
}

static __always_inline int udp_to(struct view *v, enum place place) {
    __u16 port = N16(v->destination_port);
    if (port == PORT_DNS)
        return names(v, place);
    if (port == PORT_DOT)
        return DOT;
    if (place == OURS)
        return port == PORT_NTP ? PASS_NTP : TO_GATEWAY;
    if (port == PORT_HTTPS)
        return QUIC;
    if (port == PORT_NTP)
        return FOREIGN_NTP;
    if (port == PORT_MDNS || port == PORT_LLMNR || port == PORT_NETBIOS_NAME)
        return FOREIGN_DNS;
    return FOREIGN_UDP;
}

// The transport header: ports into the view. `length`: bytes that IP says are left. MALFORMED, or 0.
static __always_inline int transport(struct view *v, struct cursor *c, __u32 length) {
    if (v->protocol == IP_TCP) {
        struct tcp *tcp = TAKE(c, tcp);
        if (!tcp || length < sizeof(*tcp))
            return MALFORMED;
        __u32 header = (tcp->offset >> 4) * 4;
        if (header < sizeof(*tcp) || header > length || !tcp->source || !tcp->destination)
            return MALFORMED;
        v->source_port = tcp->source;
        v->destination_port = tcp->destination;
        v->syn = (tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
        return 0;
    }
    struct udp *udp = TAKE(c, udp);
    if (!udp || length < sizeof(*udp) || N16(udp->length) < sizeof(*udp) || N16(udp->length) > length ||
        !udp->destination)
        return MALFORMED;
    v->source_port = udp->source;
    v->destination_port = udp->destination;
    return 0;
}

// ---- ARP (RFC 826, RFC 5227) ----

static __always_inline int classify_arp(struct view *v, struct cursor *c) {
    struct arp *arp = TAKE(c, arp);
    if (!arp || arp->hardware != N16(1) || arp->protocol != N16(TYPE_IP4) || arp->hardware_length != 6 ||
        arp->protocol_length != 4)
        return MALFORMED;
    __u16 operation = N16(arp->operation);
    if (operation != 1 && operation != 2)
        return MALFORMED;
    __u32 target = arp->target, sender = arp->sender;
    v->destination[0] = target;
    if (mac_of(arp->sender_mac) != v->mac)
        return ARP_CLAIM;
    // A probe (RFC 5227, 2.1.1) claims nothing yet.
    if (sender ? sender != v->ip4 : operation != 1)
        return ARP_CLAIM;
    enum place place = place4(v->settings, target);
    if (place == OURS || (target && target == v->ip4))
        return PASS_ARP;
    return refuse(place);
}

// ---- DHCP (RFC 2131): the client's half only ----

static __always_inline int is_dhcp(const struct view *v) {
    return v->protocol == IP_UDP && v->source_port == N16(PORT_DHCP_CLIENT) &&
           v->destination_port == N16(PORT_DHCP_SERVER);
}

// The server believes what stands inside: a foreign chaddr would take another's lease, a ciaddr or giaddr would send
// the answer elsewhere.
static __always_inline int classify_dhcp(struct view *v, struct cursor *c, __u32 length) {
    struct bootp *bootp = TAKE(c, bootp);
    if (!bootp || length < sizeof(struct udp) + BOOTP_WHOLE)
        return MALFORMED;
    if (bootp->operation != 1)
        return DHCP_ANSWER;
    if (bootp->hardware != 1 || bootp->hardware_length != 6)
        return MALFORMED;
    if (mac_of(bootp->client_mac) != v->mac)
        return SPOOFED_MAC;
    if (bootp->relay || (bootp->client && bootp->client != v->ip4))
        return SPOOFED_IP;
    return PASS_DHCP;
}

// ---- IPv4 ----

static __always_inline int classify_ip4(struct view *v, struct cursor *c, __u32 available) {
    struct ip4 *ip = TAKE(c, ip4);
    if (!ip || ip->version_length >> 4 != 4 || (ip->version_length & 15) < 5)
        return MALFORMED;
    __u32 source = ip->source, destination = ip->destination, total = N16(ip->length);
    v->destination[0] = destination;
    v->protocol = ip->protocol;
    if (total < (ip->version_length & 15) * 4 || total > available)
        return MALFORMED;
    if ((ip->version_length & 15) > 5)
        return IP_OPTIONS;
    __u16 fragment = N16(ip->fragment);
    if (fragment & 0x8000) // reserved, must be zero
        return MALFORMED;
    if (fragment & 0x3fff) // more fragments, or an offset
        return FRAGMENT;

    __u32 length = total - sizeof(*ip);
    __u8 type = 0, code = 0;
    if (v->protocol == IP_TCP || v->protocol == IP_UDP) {
        int wrong = transport(v, c, length);
        if (wrong)
            return wrong;
        if (v->protocol == IP_UDP && v->source_port == N16(PORT_DHCP_SERVER))
            return DHCP_ANSWER;
    } else if (v->protocol == IP_ICMP) {
        struct icmp *icmp = TAKE(c, icmp);
        if (!icmp || length < sizeof(*icmp))
            return MALFORMED;
        type = icmp->type;
        code = icmp->code;
        if (type == 5 || type == 9) // redirect; router advertisement (RFC 1256)
            return ROUTER_ADVERTISEMENT;
        v->source_port = icmp->id; // only an echo reply is ever looked up by it
    } else {
        return IP_PROTOCOL;
    }

    enum place place = place4(v->settings, destination);
    if (source ? source != v->ip4 : !is_dhcp(v) || destination != 0xffffffff)
        return SPOOFED_IP;
    if (place == GROUP || v->group_mac)
        return is_dhcp(v) && destination == 0xffffffff ? classify_dhcp(v, c, length) : MULTICAST;
    if (place == LAN) {
        v->source[0] = v->source[1] = 0;
        v->source[2] = N32(0xffff);
        v->source[3] = source;
        v->destination[1] = 0;
        v->destination[2] = N32(0xffff);
        v->destination[3] = destination;
        v->destination[0] = 0;
        int reply = (v->protocol != IP_ICMP || type == 0) && is_reply(v);
        v->destination[0] = destination;
        return reply ? PASS_REPLY : TO_LAN;
    }
    if (place == DMZ || place == OWN)
        return refuse(place);
    if (v->protocol == IP_ICMP)
        return place == OURS && type == 8 && code == 0 ? PASS_PING : FOREIGN_ICMP;
    if (v->protocol == IP_TCP)
        return tcp_to(v, place);
    if (place == OURS && is_dhcp(v))
        return classify_dhcp(v, c, length);
    return udp_to(v, place);
}

// ---- neighbour discovery (RFC 4861) ----

#define ND_RS       133
#define ND_RA       134
#define ND_NS       135
#define ND_NA       136
#define ND_REDIRECT 137

static __always_inline int is_solicited_node(const struct address6 *a) // ff02::1:ff00:0/104
{
    return a->half[0] == 0x02ff && (a->half[1] & 0xffffffffffULL) == 0xff01000000ULL;
}

static __always_inline int is_all(const struct address6 *a, __u64 which) // ff02::1 (nodes) or ff02::2 (routers)
{
    return a->half[0] == 0x02ff && a->half[1] == which << 56;
}

// The link-layer address that an option may carry must be the sender's own: 0, ND_CLAIM or MALFORMED.
static __always_inline int check_options(struct view *v, struct cursor *c, __u32 left, __u8 type, int forbidden) {
    int i;
#pragma unroll
    for (i = 0; i < 4; i++) {
        if (!left)
            return 0;
        struct nd_option *option = c->at;
        if ((void *)(option + 1) > c->end)
            return MALFORMED;
        __u32 length = (__u32)option->length * 8;
        if (!length || length > left)
            return MALFORMED;
        if (option->type == type) {
            if (forbidden || length != 8)
                return MALFORMED;
            if (mac_of(option->mac) != v->mac)
                return ND_CLAIM;
        }
        left -= length;
        c->at = (void *)option + length;
    }
    return left ? MALFORMED : 0;
}

static __always_inline int classify_nd(struct view *v, struct cursor *c, const struct ip6 *ip, const struct icmp *icmp,
                                       __u32 length) {
    struct address6 source = {{ip->source[0], ip->source[1]}};
    struct address6 destination = {{ip->destination[0], ip->destination[1]}};
    struct address6 target = {};
    int unspecified = !source.half[0] && !source.half[1];
    __u8 type = icmp->type, flags = (__u8)icmp->id; // NA: R, S and O are the first bits after the checksum
    __u32 fixed = type == ND_RS ? 8 : 24;
    if (ip->hops != 255 || icmp->code || length < fixed)
        return MALFORMED;
    if (type != ND_RS) {
        struct address6 *named = TAKE(c, address6);
        if (!named)
            return MALFORMED;
        target = *named;
        if ((target.half[0] & 0xff) == 0xff)
            return MALFORMED;
    }
    int wrong = check_options(v, c, length - fixed, type == ND_NA ? 2 : 1, unspecified);
    if (wrong)
        return wrong;

    enum place to = place6(v->settings, &destination);
    if (to == GROUP) {
        int meant = type == ND_RS   ? is_all(&destination, 2)
                    : type == ND_NS ? is_solicited_node(&destination)
                                    : is_all(&destination, 1);
        if (!meant)
            return MULTICAST;
    } else if (v->group_mac) {
        return MULTICAST;
    } else if (to != OURS) {
        return refuse(to);
    }
    if (type == ND_RS)
        return PASS_ND;
    enum place what = place6(v->settings, &target);
    if (type == ND_NA) {
        if (flags & 0x80)
            return ROUTER_ADVERTISEMENT;
        if (same6(&target, source.half))
            return PASS_ND;
        struct claim *held = claims6.lookup(&target);
        return held && held->mac == v->mac ? PASS_ND : ND_CLAIM;
    }
    if (unspecified) { // duplicate address detection: the claim itself
        if (to != GROUP)
            return MALFORMED;
        if (what != DMZ)
            return ND_CLAIM;
        wrong = claim(v, &target, ND_CLAIM);
        return wrong ? wrong : PASS_ND;
    }
    return what == OURS ? PASS_ND : refuse(what);
}

// ---- IPv6 ----

// IANA's "IPv6 Extension Header Types" but for the fragment header, which has a reason of its own.
static __always_inline int is_extension(__u8 next) {
    return next == 0 || next == 43 || next == 50 || next == 51 || next == 60 || next == 135 || next == 139 ||
           next == 140 || next == 253 || next == 254;
}

static __always_inline int classify_ip6(struct view *v, struct cursor *c, __u32 available) {
    struct ip6 *ip = TAKE(c, ip6);
    if (!ip || (ip->version_class_flow & 0xf0) != 0x60)
        return MALFORMED;
    struct address6 source = {{ip->source[0], ip->source[1]}};
    struct address6 destination = {{ip->destination[0], ip->destination[1]}};
    __builtin_memcpy(v->source, &source, 16);
    __builtin_memcpy(v->destination, &destination, 16);
    v->protocol = ip->next;
    __u32 length = N16(ip->length);
    if (length + sizeof(*ip) > available)
        return MALFORMED;
    if (v->protocol == IP_FRAGMENT6)
        return FRAGMENT;
    if (is_extension(v->protocol))
        return EXTENSION_HEADER;

    struct icmp *icmp = NULL;
    if (v->protocol == IP_TCP || v->protocol == IP_UDP) {
        int wrong = transport(v, c, length);
        if (wrong)
            return wrong;
        if (v->protocol == IP_UDP && v->source_port == N16(PORT_DHCP6_SERVER))
            return DHCP_ANSWER;
    } else if (v->protocol == IP_ICMP6) {
        icmp = TAKE(c, icmp);
        if (!icmp || length < sizeof(*icmp))
            return MALFORMED;
        if (icmp->type == ND_RA || icmp->type == ND_REDIRECT)
            return ROUTER_ADVERTISEMENT;
        v->source_port = icmp->id;
    } else {
        return IP_PROTOCOL;
    }
    int nd = icmp && icmp->type >= ND_RS && icmp->type <= ND_NA; // RA is gone above

    int unspecified = !source.half[0] && !source.half[1];
    if (unspecified) {
        if (!nd || icmp->type == ND_NA)
            return SPOOFED_IP;
    } else {
        if (place6(v->settings, &source) != DMZ) // the gateway's own, the LAN's, a group, or from nowhere here
            return SPOOFED_IP;
        int wrong = claim(v, &source, nd ? ND_CLAIM : SPOOFED_IP);
        if (wrong)
            return wrong;
    }
    if (nd)
        return classify_nd(v, c, ip, icmp, length);

    enum place place = place6(v->settings, &destination);
    if (place == GROUP || v->group_mac)
        return MULTICAST;
    if (place == LAN)
        return (!icmp || icmp->type == 129) && is_reply(v) ? PASS_REPLY : TO_LAN;
    if (place == DMZ || place == OWN)
        return refuse(place);
    if (icmp)
        return place == OURS && icmp->type == 128 && !icmp->code ? PASS_PING : FOREIGN_ICMP;
    if (v->protocol == IP_TCP)
        return tcp_to(v, place);
    return udp_to(v, place);
}

// ---- what a kind may do ----

#define OPENINGS                                                                                                       \
    (FLAG(PASS_NAMES) | FLAG(PASS_NAMES_FOREIGN) | FLAG(PASS_DHCP) | FLAG(PASS_ARP) | FLAG(PASS_ND) |                  \
     FLAG(PASS_PING) | FLAG(PASS_NTP))

// Reasons that an unknown device keeps: what it may do, and what is wrong with the packet whoever sends it.
#define STRANGER_KEEPS                                                                                                 \
    (FLAG(PASS_DHCP) | FLAG(PASS_ARP) | FLAG(PASS_ND) | FLAG(PASS_PING) | FLAG(PASS_NAMES) | FLAG(PASS_ENROLMENT) |    \
     FLAG(MALFORMED) | FLAG(VLAN_TAG) | FLAG(ETHERTYPE) | FLAG(SPOOFED_MAC) | FLAG(SPOOFED_IP) | FLAG(FRAGMENT) |      \
     FLAG(IP_OPTIONS) | FLAG(EXTENSION_HEADER) | FLAG(ARP_CLAIM) | FLAG(ND_CLAIM) | FLAG(ROUTER_ADVERTISEMENT) |       \
     FLAG(DHCP_ANSWER))

static __always_inline int classify_frame(struct view *v, struct cursor *c, struct ethernet *ethernet, __u32 available,
                                          int tagged) {
    if (is_group_mac(v->mac) || !v->mac || v->mac == v->settings->mac)
        return SPOOFED_MAC;
    __u16 type = N16(ethernet->type);
    if (tagged || type == 0x8100 || type == 0x88a8 || type == 0x9100)
        return VLAN_TAG;
    __u64 destination = mac_of(ethernet->destination);
    v->group_mac = is_group_mac(destination);
    if (!v->group_mac && destination != v->settings->mac)
        return TO_DEVICE;
    if (type == TYPE_IP4) {
        v->family = 4;
        return classify_ip4(v, c, available);
    }
    if (type == TYPE_IP6) {
        v->family = 6;
        return classify_ip6(v, c, available);
    }
    return type == TYPE_ARP ? classify_arp(v, c) : ETHERTYPE;
}

static __always_inline int classify(struct view *v, struct __sk_buff *skb) {
    struct cursor c = {(void *)(long)skb->data, (void *)(long)skb->data_end};
    struct ethernet *ethernet = TAKE(&c, ethernet);
    if (!ethernet)
        return MALFORMED;
    v->mac = mac_of(ethernet->source);
    struct device *device = devices.lookup(&v->mac);
    if (device) {
        v->slot = device->slot;
        v->ip4 = device->ip4;
        v->kind = device->kind;
        v->worker = device->worker;
        v->lan = device->lan;
        v->since = device->since;
    }
    __u32 meter = v->kind == KIND_UNKNOWN ? 0 : v->slot;
    __u64 *due = packet_meter.lookup(&meter);
    if (!due)
        return UNCONFIGURED;
    if (v->kind == KIND_UNKNOWN) { // strangers share one allowance: inventing addresses gains nothing
        if (!take(due, v->now, &v->settings->strangers))
            return RATE_STRANGERS;
    } else {
        if (!take(due, v->now, &v->settings->packets))
            return RATE_DEVICE;
        if (v->kind == KIND_QUARANTINED)
            return QUARANTINED;
    }
    int reason = classify_frame(v, &c, ethernet, FRAMED(skb), skb->vlan_present);
    if (v->kind == KIND_UNKNOWN) {
        if (!(STRANGER_KEEPS >> reason & 1))
            return UNKNOWN_DEVICE;
        if (reason == PASS_NAMES && v->protocol == IP_TCP) // the resolver's connections are for admitted devices
            return UNKNOWN_DEVICE;
        if (reason == PASS_NAMES || (reason == PASS_ENROLMENT && v->syn)) { // what costs a process of ours something
            due = control_meter.lookup(&meter);
            if (!due || !take(due, v->now, &v->settings->openings))
                return RATE_STRANGERS;
        }
        return reason;
    }
    if (v->kind == KIND_LOCAL && (reason == PASS_DOOR || reason == PASS_NAMES_FOREIGN))
        return LOCAL_ONLY;
    if (OPENINGS >> reason & 1 || ((reason == PASS_DOOR || reason == PASS_ENROLMENT) && v->syn)) {
        due = control_meter.lookup(&meter);
        if (!due || !take(due, v->now, &v->settings->control))
            return RATE_DEVICE;
    }
    return reason;
}

// ---- acting on it ----

static __always_inline int assign(struct __sk_buff *skb, __u32 slot) {
    struct bpf_sock *sk = (struct bpf_sock *)listeners.lookup(&slot);
    if (!sk)
        return NO_LISTENER;
    int failed = bpf_sk_assign(skb, sk, 0);
    bpf_sk_release(sk);
    return failed ? NO_LISTENER : 0;
}

// Hands a TCP packet to the connection that it belongs to, or to the listener. The kernel must never look a listener up
// by itself for a device's packet: it would find any service that listens on the wildcard address. So a connection is
// assigned only if it carries the mark that our listeners give to theirs, and a SYN that meets TIME_WAIT (for which the
// kernel does look again: tcp_v4_rcv, TCP_TW_SYN) goes on only where that look-up finds nothing.
static __always_inline int assign_tcp(struct __sk_buff *skb, struct view *v, __u32 slot) {
    struct bpf_sock_tuple tuple = {};
    if (v->family == 4) {
        tuple.ipv4.saddr = v->ip4;
        tuple.ipv4.daddr = v->destination[0];
        tuple.ipv4.sport = v->source_port;
        tuple.ipv4.dport = v->destination_port;
    } else {
        __builtin_memcpy(tuple.ipv6.saddr, v->source, 16);
        __builtin_memcpy(tuple.ipv6.daddr, v->destination, 16);
        tuple.ipv6.sport = v->source_port;
        tuple.ipv6.dport = v->destination_port;
    }
    struct bpf_sock *sk;
    if (v->family == 4)
        sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
    else
        sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
    if (!sk)
        return assign(skb, slot);
    __u32 state = sk->state;
    if (state == STATE_LISTEN) {
        bpf_sk_release(sk);
        return assign(skb, slot);
    }
    if (state == STATE_TIME_WAIT && v->syn) {
        struct bpf_sock *other;
        if (v->family == 4) {
            tuple.ipv4.sport = 0; // no connection has port 0, so only a listener can be found
            other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
        } else {
            tuple.ipv6.sport = 0;
            other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
        }
        if (other) {
            bpf_sk_release(other);
            bpf_sk_release(sk);
            return TO_GATEWAY;
        }
    }
    struct bpf_sock *full = bpf_sk_fullsock(sk); // none for TIME_WAIT and half-open ones, which a SYN of ours made
    if (full && full->mark != MARK_DOOR) {
        bpf_sk_release(sk);
        return TO_GATEWAY;
    }
    int failed = bpf_sk_assign(skb, sk, 0);
    bpf_sk_release(sk);
    return failed ? NO_LISTENER : 0;
}

// What a process of ours takes by a listener that steering made for it.
#define LISTENED (FLAG(PASS_DOOR) | FLAG(PASS_ENROLMENT) | FLAG(PASS_NAMES) | FLAG(PASS_NAMES_FOREIGN))

// Sends a passed packet where it belongs: 0, or the reason for which it cannot go there.
static __always_inline int steer(struct __sk_buff *skb, struct view *v, int reason) {
    if (reason == PASS_REPLY) {
        skb->mark = MARK_REPLY;
        return 0;
    }
    __u32 six = v->family == 6;
    int failed;
    if (reason == PASS_DOOR)
        failed = assign_tcp(skb, v, LISTENER_DOOR + 2 * v->worker + six);
    else if (reason == PASS_ENROLMENT)
        failed = assign_tcp(skb, v, LISTENER_ENROL4 + six);
    else if (reason != PASS_NAMES && reason != PASS_NAMES_FOREIGN)
        failed = 0; // the gateway's own DHCP, ARP, ND, ping and time
    else if (v->protocol == IP_TCP)
        failed = assign_tcp(skb, v, LISTENER_TCP4 + six);
    else
        failed = assign(skb, LISTENER_UDP4 + six);
    skb->mark = !failed && LISTENED >> reason & 1 ? MARK_DOOR : 0;
    return failed;
}

static __always_inline void count(struct __sk_buff *skb, __u32 slot, int reason) {
    __u32 index = (bpf_get_smp_processor_id() * SLOTS + slot) * REASONS + (reason & (REASONS - 1));
    struct counter *counter = counters.lookup(&index);
    if (counter) { // only this CPU writes it
        counter->packets++;
        counter->bytes += skb->len;
    }
}

static __always_inline void sample(struct view *v, int reason) {
    const struct rate rate = {SAMPLE_GAP, SAMPLE_SLACK};
    __u32 index = v->slot * REASONS + (reason & (REASONS - 1));
    __u64 *due = sample_meter.lookup(&index);
    if (!due || !take(due, v->now, &rate))
        return;
    struct event *event = events.ringbuf_reserve(sizeof(*event));
    if (!event)
        return;
    event->time = v->now;
    event->mac = v->mac;
    event->slot = v->slot;
    event->reason = reason;
    event->protocol = v->protocol;
    event->family = v->family;
    event->unused = 0;
    __builtin_memcpy(event->destination, v->destination, 16);
    event->port = v->destination_port;
    event->unused2 = 0;
    event->unused3 = 0;
    events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline int act(struct __sk_buff *skb, struct view *v, int reason) {
    skb->cb[0] = reason;
    if (reason < FIRST_DROP && v->claim) {
        struct claim new = {.mac = v->mac, .seen = v->now, .slot = v->slot};
        __u32 slot = v->slot;
        __u64 *made = claims6_made.lookup(&slot);
        if (!made || claims6.insert(&v->claimed, &new)) // another CPU was first, or the table is full
            reason = ND_CLAIM;
        else
            __sync_fetch_and_add(made, 1);
    }
    if (reason < FIRST_DROP) {
        int failed = steer(skb, v, reason);
        if (failed)
            reason = failed;
    }
    skb->cb[1] = reason;
    count(skb, v->slot, reason);
    if (reason < FIRST_DROP)
        return PASS;
    sample(v, reason);
    return DROP;
}

// tc ingress of the DMZ interface.
int steer_ingress(struct __sk_buff *skb) {
    // A copy of a multicast of ours that the kernel hands back to itself: no wire sets this type, and the copy has no
    // link-layer header, so that its addresses would be counted as some stranger's.
    if (skb->pkt_type == LOOPBACK)
        return DROP;
    __u32 zero = 0;
    struct view v = {};
    const struct settings *settings = settings_map.lookup(&zero);
    __u64 *alive = alive_until.lookup(&zero);
    if (!settings || !alive)
        return DROP;
    v.settings = settings;
    v.now = bpf_ktime_get_coarse_ns();
    if (!settings->configured || v.now > *alive)
        return act(skb, &v, UNCONFIGURED);
    __u32 linear = (long)skb->data_end - (long)skb->data;
    if (linear < LINEAR && skb->len > linear)
        bpf_skb_pull_data(skb, skb->len < LINEAR ? skb->len : LINEAR);
    return act(skb, &v, classify(&v, skb));
}

// tc egress of the DMZ interface: what is forwarded to a device comes from a LAN host that the owner let in (nftables
// has marked it), goes to a device that is open to some LAN host, and to an address that is this very device's; all
// else is dropped. Opened flows are remembered, for their replies. What the gateway itself sends came in nowhere, and
// passes.
int record_egress(struct __sk_buff *skb) {
    if (!skb->ingress_ifindex)
        return PASS;
    __u32 zero = 0;
    const struct settings *settings = settings_map.lookup(&zero);
    __u64 *alive = alive_until.lookup(&zero), now = bpf_ktime_get_coarse_ns();
    if (!settings || !alive || !settings->configured || now > *alive || !settings->lan_ifindex ||
        skb->ingress_ifindex != settings->lan_ifindex || skb->mark != MARK_LAN)
        return DROP;
    __u32 linear = (long)skb->data_end - (long)skb->data;
    if (linear < LINEAR && skb->len > linear)
        bpf_skb_pull_data(skb, skb->len < LINEAR ? skb->len : LINEAR);
    struct cursor c = {(void *)(long)skb->data, (void *)(long)skb->data_end};
    struct ethernet *ethernet = TAKE(&c, ethernet);
    if (!ethernet)
        return DROP;
    __u64 mac = mac_of(ethernet->destination);
    struct device *device = devices.lookup(&mac);
    if (!device || !device->lan)
        return DROP;
    struct flow key = {};
    __u8 echo;
    if (ethernet->type == N16(TYPE_IP4)) {
        struct ip4 *ip = TAKE(&c, ip4);
        if (!ip || ip->version_length != 0x45 || ip->destination != device->ip4)
            return DROP;
        if (ip->fragment & N16(0x3fff))
            return PASS;
        key.device[2] = key.peer[2] = N32(0xffff);
        key.device[3] = ip->destination;
        key.peer[3] = ip->source;
        key.protocol = ip->protocol;
        echo = 8;
    } else if (ethernet->type == N16(TYPE_IP6)) {
        struct ip6 *ip = TAKE(&c, ip6);
        if (!ip)
            return DROP;
        struct address6 to = {{ip->destination[0], ip->destination[1]}};
        struct claim *held = claims6.lookup(&to);
        if (!held || held->mac != mac)
            return DROP;
        __builtin_memcpy(key.device, ip->destination, 16);
        __builtin_memcpy(key.peer, ip->source, 16);
        key.protocol = ip->next;
        echo = 128;
    } else {
        return DROP;
    }
    if (key.protocol == IP_TCP || key.protocol == IP_UDP) {
        struct udp *ports = TAKE(&c, udp); // TCP's ports stand in the same place
        if (!ports)
            return PASS;
        key.device_port = ports->destination;
        key.peer_port = ports->source;
    } else if (key.protocol == (echo == 8 ? IP_ICMP : IP_ICMP6)) {
        struct icmp *icmp = TAKE(&c, icmp);
        if (!icmp || icmp->type != echo)
            return PASS;
        key.device_port = icmp->id;
    } else {
        return PASS;
    }
    __u64 *seen = flows.lookup(&key);
    if (!seen || now - *seen > REFRESH || *seen <= device->since)
        flows.update(&key, &now);
    return PASS;
}
