#!/bin/sh
# Notes the lease where the test looks, then does with it what a device does. udhcpc(8) calls this.
# shellcheck disable=SC2154
case "$1" in
bound | renew)
    printf 'ip=%s\nrouter=%s\ndns=%s\ndomain=%s\nntpsrv=%s\n' "$ip" "$router" "$dns" "$domain" "$ntpsrv" >"$LEASE_FILE.new"
    mv "$LEASE_FILE.new" "$LEASE_FILE"
    ;;
deconfig) rm -f "$LEASE_FILE" ;;
esac
exec "$(dirname "$0")/../../home/lab/udhcpc.sh" "$@"
