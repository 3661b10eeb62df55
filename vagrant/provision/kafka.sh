#!/usr/bin/env bash
# Real Apache Kafka (KRaft: no ZooKeeper, no containers) from Maven, one or three nodes on loopback.
#
#   kafka.sh install            fetch the jars once (47 MB)
#   kafka.sh start [1|3]        format what is new, start, wait until every node answers; prints the bootstrap servers
#   kafka.sh sig NODE SIGNAL    send a signal to one node: KILL, STOP, CONT, TERM
#   kafka.sh respawn NODE       start that node again on its own data
#   kafka.sh stop | wipe        stop every node; `wipe` removes their data too
#
# KAFKA_JARS   where the jars are kept, shared by every cluster   (/var/tmp/netscope-kafka)
# KAFKA_DIR    this cluster's configuration, data, logs, pids     ($KAFKA_JARS/cluster)
# KAFKA_PORT   node n listens on KAFKA_PORT + 2(n-1), its controller on the port after (19092)
# KAFKA_HEAP   of each node (256m)
# KAFKA_PEM    with a file of a key and its certificate: one node listens with SASL_SSL, too, on KAFKA_PORT + 10;
# KAFKA_USERS  who may come in there, by SASL PLAIN: name=password, blanks between
set -euo pipefail

KAFKA_JARS=${KAFKA_JARS:-/var/tmp/netscope-kafka}
KAFKA_DIR=${KAFKA_DIR:-$KAFKA_JARS/cluster}
KAFKA_PORT=${KAFKA_PORT:-19092}
KAFKA_VERSION=${KAFKA_VERSION:-4.1.1}
KAFKA_HEAP=${KAFKA_HEAP:-256m}
JAVA_WORDS=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Xmx$KAFKA_HEAP")

need() {
	command -v "$1" >/dev/null || { echo "kafka.sh: needs $1 ($2)" >&2; exit 3; }
}

install_jars() {
	local lib=$KAFKA_JARS/lib-$KAFKA_VERSION
	[ -e "$lib/.complete" ] && return
	need mvn "Debian package maven"
	mkdir -p "$lib"
	cat >"$lib/pom.xml" <<-XML
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>netscope</groupId><artifactId>kafka</artifactId><version>1</version>
		  <dependencies>
		    <dependency>
		      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version>
		    </dependency>
		  </dependencies>
		</project>
	XML
	local pause
	for pause in 3 15 last; do
		mvn -q -B -f "$lib/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib" -DincludeScope=runtime >&2 && break
		[ "$pause" != last ] || { echo "kafka.sh: Maven could not fetch Kafka" >&2; return 1; }
		sleep "$pause"
	done
	touch "$lib/.complete" # an interrupted fetch is begun again
}

java_run() {
	java "${JAVA_WORDS[@]}" -cp "$KAFKA_JARS/lib-$KAFKA_VERSION/*" "$@"
}

port() { echo $((KAFKA_PORT + 2 * ($1 - 1))); }
nodes() { cat "$KAFKA_DIR/nodes"; }
pid() { cat "$KAFKA_DIR/node$1/pid"; }

configure() { # NODE COUNT
	local n=$1 count=$2 p voters="" i replicas=1 isr=1
	p=$(port "$n")
	for i in $(seq "$count"); do voters+="${voters:+,}$i@127.0.0.1:$(($(port "$i") + 1))"; done
	[ "$count" -lt 3 ] || { replicas=3 isr=2; }
	mkdir -p "$KAFKA_DIR/node$n"
	cat >"$KAFKA_DIR/node$n/server.properties" <<-CONF
		process.roles=broker,controller
		node.id=$n
		controller.quorum.voters=$voters
		listeners=PLAINTEXT://127.0.0.1:$p,CONTROLLER://127.0.0.1:$((p + 1))
		advertised.listeners=PLAINTEXT://127.0.0.1:$p
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$KAFKA_DIR/node$n/data
		default.replication.factor=$replicas
		min.insync.replicas=$isr
		offsets.topic.replication.factor=$replicas
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=$replicas
		transaction.state.log.min.isr=$isr
		share.coordinator.state.topic.replication.factor=$replicas
		share.coordinator.state.topic.min.isr=$isr
		group.initial.rebalance.delay.ms=0
		auto.create.topics.enable=false
		message.max.bytes=16777216
		replica.fetch.max.bytes=16777216
		controlled.shutdown.enable=true
	CONF
	[ -z "${KAFKA_PEM:-}" ] || secure "$n" "$p"
}

secure() { # NODE PORT
	local conf=$KAFKA_DIR/node$1/server.properties user login
	login='org.apache.kafka.common.security.plain.PlainLoginModule required'
	for user in ${KAFKA_USERS:-}; do login+=" user_${user%%=*}=\"${user#*=}\""; done
	sed -i -e "s|^listeners=|listeners=SECURE://127.0.0.1:$(($2 + 10)),|" \
		-e "s|^advertised.listeners=|advertised.listeners=SECURE://127.0.0.1:$(($2 + 10)),|" "$conf"
	cat >>"$conf" <<-CONF
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
		ssl.keystore.type=PEM
		ssl.keystore.location=$KAFKA_PEM
		sasl.enabled.mechanisms=PLAIN
		listener.name.secure.plain.sasl.jaas.config=$login;
	CONF
	chmod 600 "$conf"
}

format() { # NODE
	[ ! -e "$KAFKA_DIR/node$1/data/meta.properties" ] || return 0
	java_run kafka.tools.StorageTool format -t "$(cat "$KAFKA_DIR/id")" \
		-c "$KAFKA_DIR/node$1/server.properties" >"$KAFKA_DIR/node$1/format.log" 2>&1 || {
		echo "kafka.sh: node $1 cannot be formatted:" >&2
		tail -n 5 "$KAFKA_DIR/node$1/format.log" >&2
		return 1
	}
}

spawn() { # NODE
	local dir=$KAFKA_DIR/node$1
	nohup java "${JAVA_WORDS[@]}" -cp "$KAFKA_JARS/lib-$KAFKA_VERSION/*" kafka.Kafka "$dir/server.properties" \
		</dev/null >>"$dir/log" 2>&1 &
	echo $! >"$dir/pid"
}

wait_ready() { # NODE
	local p
	p=$(port "$1")
	for _ in $(seq 600); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then return; fi
		kill -0 "$(pid "$1")" 2>/dev/null || {
			echo "kafka.sh: node $1 ended:" >&2
			tail -n 5 "$KAFKA_DIR/node$1/log" >&2
			return 1
		}
		sleep 0.1
	done
	echo "kafka.sh: node $1 did not answer within 60 s" >&2
	return 1
}

start() { # COUNT
	local bootstrap="" n
	need java "Debian package openjdk-17-jre-headless"
	install_jars
	mkdir -p "$KAFKA_DIR"
	echo "$1" >"$KAFKA_DIR/nodes"
	# no sign in it: the format tool takes an ID that begins with one for an option
	[ -s "$KAFKA_DIR/id" ] || head -c16 /dev/urandom | base64 | tr '+/' 'AZ' | tr -d '=' >"$KAFKA_DIR/id"
	for n in $(seq "$1"); do
		configure "$n" "$1"
		format "$n"
		spawn "$n"
		bootstrap+="${bootstrap:+,}127.0.0.1:$(port "$n")"
	done
	for n in $(seq "$1"); do wait_ready "$n"; done
	echo "$bootstrap"
}

stop() {
	local n
	[ -e "$KAFKA_DIR/nodes" ] || return 0
	for n in $(seq "$(nodes)"); do kill "$(pid "$n")" 2>/dev/null || true; done
	for n in $(seq "$(nodes)"); do
		for _ in $(seq 50); do
			kill -0 "$(pid "$n")" 2>/dev/null || break
			sleep 0.1
		done
		if kill -0 "$(pid "$n")" 2>/dev/null; then kill -KILL "$(pid "$n")"; fi # a node without its quorum never ends
	done
}

case ${1:-} in
install) install_jars ;;
start) start "${2:-1}" ;;
sig) kill -"$3" "$(pid "$2")" ;;
respawn) spawn "$2"; wait_ready "$2" ;;
stop) stop ;;
wipe) stop; rm -rf "$KAFKA_DIR"/node* "$KAFKA_DIR/id" "$KAFKA_DIR/nodes" ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
