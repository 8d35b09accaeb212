/* The floor: what copying objects with one SHA-256 costs a process that does nothing else.
 *
 *     floor WIDTH PART SOURCE_PORT SINK_PORT CA_FILE < "id\n…"
 *
 * WIDTH threads, each with one connection to the source and one to the sink, take ids from standard input: GET, hash, PUT in pieces
 * of PART bytes. No time limits, redirects, retries, signatures, lists, catalog or history; an answer that is not 200 ends it.
 * Without CA_FILE ("") it speaks plain HTTP. Prints one line "id sha256" for each object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, HEAD = 4096 };

typedef struct {
    int fd;
    SSL *ssl;
    char head[HEAD];    /* of the last answer, and what came with it */
    size_t early, at;   /* bytes of the body that came with the head: how many, how many of them were taken */
} Peer;

static SSL_CTX *context;
static size_t part;
static int source_port, sink_port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static Peer *dial(int port)
{
    Peer *peer = calloc(1, sizeof *peer);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    if (peer == NULL || (peer->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        die("no socket");
    if (connect(peer->fd, (struct sockaddr *)&place, sizeof place) != 0)
        die("connection refused");
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (context != NULL) {
        peer->ssl = SSL_new(context);
        SSL_set_fd(peer->ssl, peer->fd);
        if (SSL_connect(peer->ssl) != 1)
            die("TLS handshake failed");
    }
    return peer;
}

static size_t receive(Peer *peer, char *into, size_t most)
{
    ssize_t got = peer->ssl ? SSL_read(peer->ssl, into, (int)most) : read(peer->fd, into, most);
    if (got <= 0)
        die("the other side went");
    return (size_t)got;
}

static void send_all(Peer *peer, const char *from, size_t size)
{
    while (size > 0) {
        ssize_t sent = peer->ssl ? SSL_write(peer->ssl, from, (int)size) : write(peer->fd, from, size);
        if (sent <= 0)
            die("the other side went");
        from += sent;
        size -= (size_t)sent;
    }
}

/* Reads an answer's head; the length of its body. */
static size_t answer(Peer *peer)
{
    size_t have = 0;
    char *end, *length;
    do {
        if (have >= HEAD - 1)
            die("a head of more than 4 KiB");
        have += receive(peer, peer->head + have, HEAD - 1 - have);
        peer->head[have] = 0;
    } while ((end = strstr(peer->head, "\r\n\r\n")) == NULL);
    if (strncmp(peer->head, "HTTP/1.1 200", 12) != 0)
        die(peer->head);
    if ((length = strcasestr(peer->head, "\r\ncontent-length:")) == NULL || length > end)
        die("an answer without Content-Length");
    peer->at = (size_t)(end + 4 - peer->head);
    peer->early = have;
    return strtoull(length + 17, NULL, 10);
}

/* Some bytes of the body that follows a head: whole buffers, so that there are few writes. */
static size_t body(Peer *peer, char *into, size_t most)
{
    size_t have = peer->early - peer->at;
    if (have > most)
        have = most;
    memcpy(into, peer->head + peer->at, have);
    peer->at += have;
    if (have == most)
        return have;
    do
        have += receive(peer, into + have, most - have);
    while (peer->ssl && have < most && SSL_pending(peer->ssl) > 0);
    return have;
}

static void copy(Peer *source, Peer *sink, const char *id, EVP_MD_CTX *hash, char *buffer)
{
    char request[512];
    unsigned char digest[32];
    int number = 0;
    send_all(source, request, (size_t)snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", id));
    size_t whole = answer(source), left = whole;
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    while (left > 0) {
        size_t piece = left < part ? left : part, to_go = piece;
        const char *form = whole <= part ? "PUT /bench/floor/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n"
                                         : "PUT /bench/floor/%s/%06d HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n";
        size_t head = (size_t)(whole <= part ? snprintf(buffer, HEAD, form, id, piece) : snprintf(buffer, HEAD, form, id, ++number, piece));
        while (to_go > 0) {
            size_t room = BUFFER - head, got = body(source, buffer + head, to_go < room ? to_go : room);
            EVP_DigestUpdate(hash, buffer + head, got);
            send_all(sink, buffer, head + got);
            to_go -= got;
            head = 0;
        }
        for (size_t rest = answer(sink); rest > 0;)
            rest -= body(sink, buffer, rest < BUFFER ? rest : BUFFER);
        left -= piece;
    }
    EVP_DigestFinal_ex(hash, digest, NULL);
    pthread_mutex_lock(&lock);
    printf("%s ", id);
    for (int at = 0; at < 32; at++)
        printf("%02x", digest[at]);
    putchar('\n');
    pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
    Peer *source = NULL, *sink = NULL;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    char *buffer = malloc(BUFFER), id[256];
    if (buffer == NULL || hash == NULL)
        die("no memory");
    for (;;) {
        pthread_mutex_lock(&lock);
        int found = scanf("%255s", id);
        pthread_mutex_unlock(&lock);
        if (found != 1)
            return unused;
        if (source == NULL) {
            source = dial(source_port);
            sink = dial(sink_port);
        }
        copy(source, sink, id, hash, buffer);
    }
}

int main(int count, char **words)
{
    pthread_t threads[256];
    if (count != 6 || atoi(words[1]) < 1 || atoi(words[1]) > 256)
        die("usage: floor WIDTH PART SOURCE_PORT SINK_PORT CA_FILE");
    int width = atoi(words[1]);
    part = strtoull(words[2], NULL, 10);
    source_port = atoi(words[3]);
    sink_port = atoi(words[4]);
    if (words[5][0]) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_read_ahead(context, 1);
        SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
        if (SSL_CTX_load_verify_locations(context, words[5], NULL) != 1)
            die("no such CA file");
    }
    for (int at = 0; at < width; at++)
        pthread_create(&threads[at], NULL, work, NULL);
    for (int at = 0; at < width; at++)
        pthread_join(threads[at], NULL);
    return 0;
}
