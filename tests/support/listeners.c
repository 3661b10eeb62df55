/* Many feed clients in one thread, some of which do not read until told to: counts what each one gets.
 *
 *   listeners PORT HEALTHY STALLED PATH
 *
 * Says "connected" when all are in. Standard input: "resume\n" lets the stalled ones read; "report\n" prints one JSON line
 * with an object per client once nothing has come for a second; its end ends the program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 18)
#define SAMPLES (1 << 20)

struct client {
	int fd, open, upgraded, hello, resumed_late;
	uint32_t length;
	uint64_t delivered, missed, gaps, unknown, disorder, last_seq, bytes, other;
	unsigned char *buffer;
};

static struct client *clients;
static int healthy, stalled, total;
static uint32_t samples[SAMPLES];
static uint64_t sampled;
static int64_t last_data_ns;

static int64_t now_ns(int clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static uint64_t number_after(const char *text, size_t size, const char *name)
{
	const char *at = memmem(text, size, name, strlen(name));

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Microseconds from the end of the exchange to now. */
static void sample(const char *text, size_t size)
{
	const char *at = memmem(text, size < 400 ? size : 400, "\"started_at\":\"", 14);
	const char *took = memmem(text, size < 500 ? size : 500, "\"elapsed_ms\":", 13);
	int64_t day, wall = now_ns(CLOCK_REALTIME);
	int h, m, s;
	long ns;

	if (!at || !took || sampled >= SAMPLES || sscanf(at + 25, "%d:%d:%d.%9ld", &h, &m, &s, &ns) != 4)
		return;
	day = ((h * 60LL + m) * 60 + s) * 1000000000LL + ns + (int64_t)(strtod(took + 13, NULL) * 1e6);
	wall = wall % 86400000000000LL - day;
	samples[sampled++] = wall < 0 ? 0 : wall / 1000;
}

static void text_frame(struct client *c, const char *text, size_t size)
{
	if (size > 20 && !memcmp(text, "{\"kind\":\"exchange\"", 18)) {
		uint64_t seq = number_after(text, size, "\"seq\":");

		if (seq <= c->last_seq)
			c->disorder++;
		c->last_seq = seq;
		if (c < clients + healthy && c->delivered % 64 == (uint64_t)(c - clients) % 64)
			sample(text, size);
		c->delivered++;
	} else if (size > 14 && !memcmp(text, "{\"kind\":\"gap\"", 13)) {
		uint64_t to = number_after(text, size, "\"to\":");

		c->gaps++;
		if (memmem(text, size, "\"missed\":null", 13))
			c->unknown++;
		c->missed += number_after(text, size, "\"missed\":");
		if (to < c->last_seq)
			c->disorder++;
		c->last_seq = to;
	} else if (memmem(text, size, "\"hello\"", 7)) {
		c->hello++;
	} else {
		c->other++;
	}
}

static void pong(struct client *c, const unsigned char *payload, size_t size)
{
	unsigned char frame[140] = {0x8a, 0x80 | size, 0, 0, 0, 0};

	memcpy(frame + 6, payload, size);
	if (write(c->fd, frame, size + 6) < 0)
		c->other++;
}

static size_t parse(struct client *c, unsigned char *at, size_t size)
{
	size_t used = 0;

	if (!c->upgraded) {
		unsigned char *end = memmem(at, size, "\r\n\r\n", 4);

		if (!end)
			return 0;
		if (memcmp(at, "HTTP/1.1 101", 12)) {
			fprintf(stderr, "%.*s\n", (int)size, at);
			exit(1);
		}
		c->upgraded = 1;
		used = end + 4 - at;
	}
	while (size - used >= 2) {
		unsigned char *frame = at + used;
		uint64_t length = frame[1], head = 2;

		if (length == 126) {
			head = 4;
			length = size - used >= 4 ? frame[2] << 8 | frame[3] : BUFFER;
		} else if (length == 127) {
			fprintf(stderr, "frame of more than 64 KiB\n");
			exit(1);
		}
		if (size - used < head + length)
			break;
		if ((frame[0] & 15) == 1)
			text_frame(c, (char *)frame + head, length);
		else if ((frame[0] & 15) == 9 && length < 126)
			pong(c, frame + head, length);
		else
			c->other++;
		used += head + length;
	}
	return used;
}

static void readable(struct client *c)
{
	ssize_t got = read(c->fd, c->buffer + c->length, BUFFER - c->length);

	if (got <= 0) {
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		c->open = 0;
		close(c->fd);
		return;
	}
	last_data_ns = now_ns(CLOCK_MONOTONIC);
	c->bytes += got;
	c->length += got;
	size_t used = parse(c, c->buffer, c->length);

	memmove(c->buffer, c->buffer + used, c->length - used);
	c->length -= used;
}

static void connect_one(struct client *c, int port, const char *path)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char head[512];

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	int small = 65536;

	if (c >= clients + healthy)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	c->buffer = malloc(BUFFER);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		exit(1);
	}
	int size = snprintf(head, sizeof(head),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port);
	if (write(c->fd, head, size) != size) {
		perror("write");
		exit(1);
	}
	c->open = 1;
	while (!c->hello && c->open)
		readable(c);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static int ascending(const void *a, const void *b)
{
	return (*(uint32_t *)a > *(uint32_t *)b) - (*(uint32_t *)a < *(uint32_t *)b);
}

static void report(void)
{
	qsort(samples, sampled, sizeof(*samples), ascending);
	printf("{\"samples\":%lu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"clients\":[", sampled,
	       sampled ? samples[sampled / 2] : 0, sampled ? samples[sampled * 99 / 100] : 0,
	       sampled ? samples[sampled - 1] : 0);
	for (int i = 0; i < total; i++) {
		struct client *c = clients + i;

		printf("%s{\"stalled\":%s,\"open\":%d,\"delivered\":%lu,\"missed\":%lu,\"gaps\":%lu,\"unknown\":%lu,"
		       "\"disorder\":%lu,\"last_seq\":%lu,\"bytes\":%lu}",
		       i ? "," : "", i < healthy ? "false" : "true", c->open, c->delivered, c->missed, c->gaps, c->unknown,
		       c->disorder, c->last_seq, c->bytes);
	}
	printf("]}\n");
	fflush(stdout);
}

int main(int count, char **words)
{
	struct epoll_event events[256], wanted = {.events = EPOLLIN};
	int epoll = epoll_create1(0), reporting = 0;

	if (count != 5)
		return 2;
	healthy = atoi(words[2]);
	stalled = atoi(words[3]);
	total = healthy + stalled;
	clients = calloc(total, sizeof(*clients));
	for (int i = 0; i < total; i++) {
		connect_one(clients + i, atoi(words[1]), words[4]);
		wanted.data.ptr = clients + i;
		if (i < healthy)
			epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &wanted);
	}
	wanted.data.ptr = NULL;
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &wanted);
	printf("connected\n");
	fflush(stdout);
	for (;;) {
		int ready = epoll_wait(epoll, events, 256, 100);

		for (int i = 0; i < ready; i++) {
			char line[64] = "";

			if (events[i].data.ptr) {
				readable(events[i].data.ptr);
				continue;
			}
			if (read(0, line, sizeof(line) - 1) <= 0)
				return 0;
			if (strstr(line, "resume")) { /* both words may come in one read */
				for (int j = healthy; j < total; j++) {
					wanted.data.ptr = clients + j;
					epoll_ctl(epoll, EPOLL_CTL_ADD, clients[j].fd, &wanted);
				}
			}
			if (strstr(line, "report")) {
				reporting = 1;
				last_data_ns = now_ns(CLOCK_MONOTONIC);
			}
		}
		if (reporting && now_ns(CLOCK_MONOTONIC) - last_data_ns > 1000000000LL) {
			report();
			reporting = 0;
		}
	}
}
