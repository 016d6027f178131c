// The maps of steer.c. Only the side named beside a map writes it.
#pragma once

// SLOTS (device slots, 0 included) and CPUS are given by gateway/steering/loader.py.
BPF_ARRAY(settings_map, struct settings, 1);              // user
BPF_ARRAY(alive_until, __u64, 1);                         // user: a dead user space closes the gate
BPF_HASH(devices, __u64, struct device, SLOTS + 1024);    // user: by MAC
BPF_HASH(own4, __u32, __u8, 256);                         // user: the gateway's own addresses, all interfaces
BPF_HASH(own6, struct address6, __u8, 256);               // user
BPF_TABLE("sockmap", __u32, __u64, listeners, LISTENERS); // user
BPF_HASH(claims6, struct address6, struct claim, CLAIMS); // kernel makes and refreshes, user deletes
BPF_ARRAY(claims6_made, __u64, SLOTS);                    // kernel: ever made, per slot
BPF_ARRAY(claims6_freed, __u64, SLOTS);                   // user: ever freed; the difference is what is held
BPF_TABLE("lru_hash", struct flow, __u64, flows, 16384);  // kernel: last packet
BPF_ARRAY(packet_meter, __u64, SLOTS);                    // kernel
BPF_ARRAY(control_meter, __u64, SLOTS);                   // kernel
BPF_ARRAY(sample_meter, __u64, SLOTS *REASONS);           // kernel
BPF_F_TABLE("array", __u32, struct counter, counters, CPUS *SLOTS *REASONS,
            BPF_F_MMAPABLE);    // kernel; user reads by mmap
BPF_RINGBUF_OUTPUT(events, 64); // kernel
