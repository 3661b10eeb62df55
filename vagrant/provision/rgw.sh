#!/usr/bin/env bash
# Real Ceph on loopback from the distribution's packages: one monitor, one OSD, one RADOS Gateway; no manager, no containers.
#
#   rgw.sh install                     apt-get install radosgw ceph-mon ceph-osd (68 MB)
#   rgw.sh start | stop | status       start prints endpoint, access key and secret; stop removes nothing
#   rgw.sh wipe                        stop, and remove this instance's data
#   rgw.sh sig mon|osd|rgw SIGNAL      send a signal to one daemon: KILL, STOP, CONT
#   rgw.sh respawn mon|osd|rgw         start a daemon that ended again (memstore has lost its data, bluestore has not)
#   rgw.sh admin WORDS                 radosgw-admin on this instance: user suspend, quota set, ...
#
# RGW_DIR      this instance's configuration, data, logs, pids   (/var/tmp/netscope-rgw)
# RGW_PORT     where the gateway listens                         (7480)
# MON_PORT     where the monitor listens                         (RGW_PORT + 9)
# RGW_STORE    memstore, or bluestore to survive a killed OSD    (memstore)
# RGW_STORE_GB size of either                                    (4)
# RGW_TLS      PEM file with key and certificate: HTTPS too, on RGW_PORT + 1
# RGW_ACCESS_KEY, RGW_SECRET_KEY of the user `netscope`          (testaccess, testsecret: loopback only)
set -euo pipefail
unset CEPH_ARGS
DIR=$(realpath -m "${RGW_DIR:-/var/tmp/netscope-rgw}")
PORT=${RGW_PORT:-7480}
MON=${MON_PORT:-$((PORT + 9))}
STORE=${RGW_STORE:-memstore}
GB=${RGW_STORE_GB:-4}
ACCESS=${RGW_ACCESS_KEY:-testaccess}
SECRET=${RGW_SECRET_KEY:-testsecret}
LIB=/usr/lib/$(uname -m)-linux-gnu

# Every daemon's environment names its instance: so a pid file is never taken for another process.
[ "${CEPH_CONF:-}" = "$DIR/ceph.conf" ] || CEPH_CONF=$DIR/ceph.conf exec bash "$0" "$@"

say() { echo "rgw.sh: $*" >&2; }
fail() {
	say "$*"
	tail -qn 3 "$DIR"/*.log "$DIR"/*.out >&2 2>/dev/null || true
	exit 1
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

alive() { # the pid file's process is ours, and no zombie
	local pid
	pid=$(cat "$DIR/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
	grep -qsE '^State:[[:space:]]+[^ZX]' "/proc/$pid/status" || return 1
	grep -qszxF "CEPH_CONF=$DIR/ceph.conf" "/proc/$pid/environ"
}

wait_for() { # seconds, what, command...
	local tries=$(($1 * 20)) what=$2
	shift 2
	for ((try = 0; try < tries; try++)); do
		if "$@"; then return 0; fi
		sleep 0.05
	done
	fail "$what did not happen in time"
}

write_configuration() {
	local tls=""
	[ -z "${RGW_TLS:-}" ] || tls=" ssl_endpoint=127.0.0.1:$((PORT + 1)) ssl_certificate=$RGW_TLS"
	cat >"$DIR/ceph.conf" <<-CONF
		[global]
		fsid = $(cat /proc/sys/kernel/random/uuid)
		mon host = [v2:127.0.0.1:$MON/0]
		public addr = 127.0.0.1
		cluster addr = 127.0.0.1
		ms bind msgr1 = false
		ms bind ipv6 = false
		ms mon client mode = crc
		auth cluster required = none
		auth service required = none
		auth client required = none
		run dir = $DIR
		admin socket =
		log file = $DIR/\$name.log
		log to stderr = false
		err to stderr = false
		crash dir = $DIR/crash
		plugin dir = $LIB/ceph
		erasure code dir = $LIB/ceph/erasure-code
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 1
		osd pool default pgp num = 1
		osd pool default pg autoscale mode = off
		osd crush chooseleaf type = 0
		mon allow pool size one = true
		mon allow pool delete = true
		mon max pg per osd = 4000
		[mon]
		mon data = $DIR/mon
		mon cluster log file = $DIR/cluster.log
		mon data avail warn = 1
		mon data avail crit = 1
		paxos propose interval = 0.02
		paxos min wait = 0.01
		[osd]
		osd data = $DIR/osd
		osd objectstore = $STORE
		osd class dir = $LIB/rados-classes
		memstore device bytes = ${GB}G
		bluestore block create = true
		bluestore block size = $((GB << 30))
		bluestore cache autotune = false
		bluestore cache size = 64M
		bluestore fsck on mkfs = false
		bdev aio poll ms = 10
		osd op num shards = 2
		osd op num threads per shard = 2
		osd mclock skip benchmark = true
		[client.rgw]
		rgw frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1$tls
		rgw data = $DIR/rgw
		rgw thread pool size = 32
		${RGW_CONF:-}
		[client]
		objecter tick interval = 0.5
		rgw enable usage log = false
		rgw run sync thread = false
		rgw num control oids = 1
		rgw gc max objs = 1
		rgw lc max objs = 1
		rgw md log max shards = 1
		rgw data log num shards = 1
		rgw objexp hints num shards = 1
		rgw usage max shards = 1
		rgw usage max user shards = 1
		rgw reshard num logs = 1
		rgw rados pool pg num min = 1
	CONF
}

spawn() {
	local name=$1 words
	case $name in
	mon) words=(ceph-mon -i a -f) ;;
	osd) words=(ceph-osd -i 0 -f) ;;
	rgw) words=(radosgw -n client.rgw -f) ;;
	*) fail "no daemon $name: mon, osd or rgw" ;;
	esac
	"${words[@]}" </dev/null >"$DIR/$name.out" 2>&1 &
	echo $! >"$DIR/$name.pid"
}

osd_is_up() {
	alive osd || fail "the OSD ended"
	alive mon || fail "the monitor ended"
	grep -qs 'state: booting -> active' "$DIR/osd.0.log"
}

rgw_answers() {
	alive rgw || fail "the gateway ended"
	answers "$PORT"
}

format() {
	mkdir -p "$DIR"/{mon,osd,rgw,crash}
	write_configuration
	{
		monmaptool --create --clobber --fsid "$(sed -n 's/^fsid = //p' "$DIR/ceph.conf")" --addv a "[v2:127.0.0.1:$MON/0]" "$DIR/monmap" &&
			osdmaptool --createsimple 1 --clobber "$DIR/osdmap" &&
			ceph-mon -i a --mkfs --monmap "$DIR/monmap" --osdmap "$DIR/osdmap"
	} >"$DIR/format.out" 2>&1 || fail "the monitor could not be formatted"
}

start() {
	if alive rgw; then
		echo "ready http://127.0.0.1:$PORT $ACCESS $SECRET"
		return
	fi
	command -v radosgw ceph-mon ceph-osd >/dev/null || { say "needs radosgw, ceph-mon and ceph-osd: rgw.sh install"; exit 3; }
	if [ -e "$DIR" ] && [ ! -f "$DIR/.rgw.sh" ] && [ -n "$(ls -A "$DIR")" ]; then fail "$DIR holds something else"; fi
	stop
	for port in "$PORT" "$MON"; do if answers "$port"; then fail "port $port is in use"; fi; done
	local new=
	[ -e "$DIR/osd/ready" ] && [ "$STORE" = bluestore ] || new=yes
	if [ -n "$new" ]; then
		rm -rf "$DIR"
		mkdir -p "$DIR"
		touch "$DIR/.rgw.sh"
		format
	fi
	: >"$DIR/osd.0.log"
	spawn mon
	if [ -n "$new" ]; then
		ceph-osd -i 0 --mkfs --osd-uuid "$(cat /proc/sys/kernel/random/uuid)" >>"$DIR/format.out" 2>&1 || fail "the OSD could not be formatted"
	fi
	spawn osd
	wait_for 60 "the OSD's start" osd_is_up # a client that starts before waits for a tick of its own
	if [ -n "$new" ]; then
		timeout 60 radosgw-admin -n client.admin user create --uid=netscope --display-name=netscope --access-key="$ACCESS" \
			--secret-key="$SECRET" >"$DIR/user.json" 2>"$DIR/user.out" || fail "the user could not be made"
	fi
	spawn rgw
	wait_for 60 "the gateway's start" rgw_answers
	echo "ready http://127.0.0.1:$PORT $ACCESS $SECRET"
}

stop() {
	for name in rgw osd mon; do if alive $name; then kill -9 "$(cat "$DIR/$name.pid")" || true; fi; done
	for name in rgw osd mon; do
		for ((try = 0; try < 100; try++)); do
			alive $name || break
			sleep 0.02
		done
		rm -f "$DIR/$name.pid"
	done
	for ((try = 0; try < 100; try++)); do # a dying process may still hold its port
		answers "$PORT" || answers "$MON" || break
		sleep 0.02
	done
}

case ${1:-} in
install)
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd
	;;
start) start ;;
stop) stop ;;
wipe)
	stop
	[ ! -f "$DIR/.rgw.sh" ] || rm -rf "$DIR"
	;;
status)
	for name in mon osd rgw; do
		if alive $name; then echo "$name pid $(cat "$DIR/$name.pid")"; else echo "$name down"; fi
	done
	;;
sig)
	alive "$2" || fail "$2 is not running"
	kill -"$3" "$(cat "$DIR/$2.pid")"
	;;
respawn)
	if alive "$2"; then fail "$2 is still running"; fi
	spawn "$2"
	[ "$2" != rgw ] || wait_for 60 "the gateway's start" rgw_answers
	;;
admin)
	shift
	exec radosgw-admin -n client.admin "$@"
	;;
*)
	sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
