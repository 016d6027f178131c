#!/bin/sh
# What a device does with its lease: udhcpc(8) calls this with the lease in the environment.
# shellcheck disable=SC2154
case "$1" in
deconfig)
    ip -4 address flush dev "$interface"
    ;;
bound | renew)
    ip -4 address replace "$ip/$mask" dev "$interface"
    [ -n "$router" ] && ip -4 route replace default via "${router%% *}" dev "$interface"
    ;;
esac
exit 0
