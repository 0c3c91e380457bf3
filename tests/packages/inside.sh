#!/bin/sh
# Runs under the booted systemd of a bare Debian 12: installs the package, uses it, upgrades it,
# purges it. /proof has old.deb, new.deb and spam.eml.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd /proof

say() { echo "-- $*"; }
fail() { echo "FAILED: $*"; exit 1; }
trap '[ $? = 0 ] || journalctl -u calspamd --no-pager | tail -n 30' EXIT
files() {
    find / -xdev \( -path /proof -o -path /proc -o -path /run -o -path /tmp -o -path /var/tmp \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd \
        -o -path /dev -o -path /sys \) -prune -o -print | sort
}
scan() { curl -sS --data-binary @spam.eml http://127.0.0.1:11380/checkv2; }
uid=30uei3uulij6snhr9oc82rthht@google.com

files >before
say install
dpkg -i old.deb || fail "it does not install"
systemctl is-active calspamd || fail "the service does not start"
systemctl is-enabled calspamd
systemctl show -p StatusText --value calspamd
calspamd health

say "what it may"
pid=$(systemctl show -p MainPID --value calspamd)
[ "$(ps -o user= -p "$pid" 2>/dev/null || stat -c %U "/proc/$pid")" = calspamd ] || fail user
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status"
grep -q '^CapEff:.0000000000000000' "/proc/$pid/status" || fail "it has capabilities"
grep -q '^NoNewPrivs:.1' "/proc/$pid/status" || fail "it may gain privileges"
grep -q '^Seccomp:.2' "/proc/$pid/status" || fail "no filter of system calls"
# Its own view of the machine: all is read-only but the state.
if nsenter -t "$pid" -m sh -c 'touch /usr/x || touch /etc/calspamd/x' 2>/dev/null; then
    fail "it sees a root that can be written"
fi
nsenter -t "$pid" -m sh -c 'touch /var/lib/calspamd/x && rm /var/lib/calspamd/x' || fail state
systemd-analyze security --no-pager --threshold=15 calspamd | tail -n 1

say scan
scan | grep -q '"action":"add header"' || fail "it was not found"
journalctl -u calspamd -o cat --no-pager | grep scanned | tail -n 1
journalctl -u calspamd -p info -o cat --no-pager | grep -q scanned || fail "no priority"
calspamd learn spam --user bob@corp.example spam.eml
# A recall is asked before what was scanned is kept.
sleep 1
provenance() { calspamd store provenance --uid "$uid"; }
provenance >before.provenance
grep -q "$uid\|record" before.provenance || fail "nothing is remembered"

say reload
echo 'score CAL_CALLBACK 1.25' >>/etc/calspamd/rules/site.cf
systemctl reload calspamd
tries=0
until scan | grep -q '"score":1.25'; do
    tries=$((tries + 1)); [ $tries -lt 50 ] || fail "no reload"; sleep 0.1
done
systemctl is-active calspamd

say "restart behind a socket: nobody is refused"
systemctl stop calspamd
systemctl -q enable --now /usr/share/calspamd/systemd/calspamd.socket
( n=0; while [ ! -e stop ]; do scan >/dev/null || echo refused >>refusals; n=$((n + 1)); done; echo $n >scans ) &
client=$!
for _ in 1 2 3; do sleep 1; systemctl restart calspamd || fail restart; done
touch stop
wait $client
[ ! -e refusals ] || fail "$(wc -l <refusals) of $(cat scans) refused"
echo "$(cat scans) scans, 3 restarts, none refused"
systemctl -q disable --now calspamd.socket 2>/dev/null
rm -f /etc/systemd/system/calspamd.socket
systemctl daemon-reload
systemctl restart calspamd

say "a killed service comes back"
kill -KILL "$(systemctl show -p MainPID --value calspamd)"
tries=0
until [ "$(systemctl show -p NRestarts --value calspamd)" = 1 ] && systemctl -q is-active calspamd; do
    tries=$((tries + 1)); [ $tries -lt 30 ] || fail "it does not come back"; sleep 1
done

say upgrade
provenance >before.provenance
dpkg -i --force-confold new.deb || fail "it does not upgrade"
systemctl is-active calspamd || fail "it does not run after the upgrade"
grep -q 'CAL_CALLBACK 1.25' /etc/calspamd/rules/site.cf || fail "the site's rules are gone"
# Before another scan is remembered.
provenance >after.provenance
cmp before.provenance after.provenance || fail "the memory is another"
scan | grep -q '"score":1.25' || fail "the site's rules are not in force"

say stop
begin=$(date +%s%N)
systemctl stop calspamd
echo "stopped after $((($(date +%s%N) - begin) / 1000000)) ms"
[ "$(systemctl show -p Result --value calspamd)" = success ] || fail "it did not stop well"

say "remove and purge"
systemctl start calspamd
dpkg -r calspamd
systemctl is-active calspamd && fail "it still runs"
[ -d /var/lib/calspamd ] || fail "removed, and the state is gone"
dpkg -P calspamd
files >after
# Group and password files keep their backups; nothing else may differ.
diff before after | grep '^[<>]' | grep -v -E ' /etc/(passwd|group|shadow|gshadow|subuid|subgid)-$' >left || true
[ ! -s left ] || { cat left; fail "something is left"; }
getent passwd calspamd && fail "the user is left"
echo "all well"
