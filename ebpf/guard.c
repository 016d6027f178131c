// tc ingress of each access port of the DMZ's bridge, before the bridge learns from a frame: a MAC lives on one port,
// first come, so that no device takes another's frames by its address; and a port has a packet rate, whatever MACs
// it shows. Everything else is steer.c's.
#include "include/reasons.h"
#include "include/shared.h"
#include "include/parse.h"

BPF_ARRAY(guard_settings_map, struct guard_settings, 1); // user
BPF_HASH(seats, __u64, struct seat, SEATS);              // kernel gives and refreshes, user clears: by MAC
BPF_HASH(ports, __u32, struct port, 256);                // user adds, kernel counts: by interface index
BPF_HASH(seats_freed, __u32, __u32, 256);                // user: seats ever cleared, per port

#define PASS    0 // TC_ACT_OK
#define DROP    2 // TC_ACT_SHOT
#define REFRESH 1000000000ULL

static __always_inline int drop(struct __sk_buff *skb, struct port *port, int which) {
    __sync_fetch_and_add(&port->dropped[which].packets, 1);
    __sync_fetch_and_add(&port->dropped[which].bytes, skb->len);
    return DROP;
}

int guard_ingress(struct __sk_buff *skb) {
    __u32 zero = 0, ifindex = skb->ifindex;
    const struct guard_settings *settings = guard_settings_map.lookup(&zero);
    struct port *port = ports.lookup(&ifindex);
    struct cursor c = {(void *)(long)skb->data, (void *)(long)skb->data_end};
    struct ethernet *ethernet = TAKE(&c, ethernet);
    if (!settings || !port || !ethernet)
        return DROP;
    __u64 now = bpf_ktime_get_coarse_ns(), due = port->due;
    if (due > now + settings->packets.slack)
        return drop(skb, port, 1);
    port->due = (due > now ? due : now) + settings->packets.gap;

    __u64 mac = mac_of(ethernet->source);
    if (is_group_mac(mac) || !mac || mac == settings->mac)
        return drop(skb, port, 0);
    struct seat *seat = seats.lookup(&mac);
    if (seat && seat->ifindex == ifindex) {
        if (now - seat->seen > REFRESH)
            seat->seen = now;
        return PASS;
    }
    if (seat) // another port's, until user space clears it: idle for long, or that port's link is gone
        return drop(skb, port, 0);
    __u32 *freed = seats_freed.lookup(&ifindex);
    if (port->taken - (freed ? *freed : 0) >= settings->seats_per_port)
        return drop(skb, port, 0);
    struct seat new = {.seen = now, .ifindex = ifindex};
    if (seats.insert(&mac, &new))
        return drop(skb, port, 0);
    __sync_fetch_and_add(&port->taken, 1);
    return PASS;
}
