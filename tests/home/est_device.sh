#!/bin/sh
# A device with nothing but openssl, curl and a POSIX shell, enrolling as docs/clear-envelope.md says (section "Enrolment").
#   est_device.sh CODE FOLDER      makes FOLDER/key.pem, ca.pem, cert.pem
# It ends with 0 enrolled, 2 the owner has not entered the code yet (ask again), 3 the gateway did not prove the code,
# 4 refused.
set -eu
code=$1 folder=$2
est=https://mudroom.home.arpa/.well-known/est
web() { curl -sS -m 20 "$@"; }
proof() { printf '%s\n' "$@" | openssl dgst -sha256 -hmac "$code" | sed 's/.*= *//'; }
field() { tr -d '\r' <head.txt | sed -n "s/^$1: *//Ip"; }
certificate() { openssl base64 -d | openssl pkcs7 -inform DER -print_certs | sed -n '/BEGIN/,/END/p'; }
cd "$folder"

# 1. Nobody is trusted yet: what comes is believed only if it is proved.
nonce=$(openssl rand -hex 32)
status=$(web -k -H "Clear-Envelope-Nonce: $nonce" -D head.txt -o ca.b64 -w '%{http_code}' "$est/cacerts")
[ "$status" != 202 ] || exit 2
[ "$status" = 200 ] || { cat ca.b64 >&2; exit 4; }
certificate <ca.b64 >ca.new
fingerprint=$(openssl x509 -in ca.new -outform DER | openssl dgst -sha256 -r | cut -c1-64)
theirs=$(field Clear-Envelope-Nonce)
wanted=$(proof 'clear-envelope-1 enrolment gateway' "$fingerprint" "$nonce" "$theirs")
[ "$(field Clear-Envelope-Proof)" = "$wanted" ] || { echo 'a false gateway, or a mistyped code' >&2; exit 3; }
mv ca.new ca.pem

# 2. The gateway and its CA are known now: the request goes to them only.
[ -e key.pem ] || openssl ecparam -name prime256v1 -genkey -noout -out key.pem
openssl req -new -key key.pem -subj / -outform DER -out request.der
digest=$(openssl dgst -sha256 -r request.der | cut -c1-64)
ours=$(proof 'clear-envelope-1 enrolment device' "$fingerprint" "$theirs" "$digest")
openssl base64 -in request.der -out request.b64
status=$(web --cacert ca.pem -H 'Content-Type: application/pkcs10' -H "Clear-Envelope-Proof: $ours" \
    --data-binary @request.b64 -o answer.b64 -w '%{http_code}' "$est/simpleenroll")
[ "$status" != 202 ] || exit 2
[ "$status" = 200 ] || { cat answer.b64 >&2; exit 4; }
certificate <answer.b64 >cert.pem
