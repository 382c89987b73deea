/* tests/soak/heap.c - how much of its heap a program has in use, said on request; preloaded into the daemon
 *
 * Resident memory cannot show a slope of zero: the heap keeps pages, and which ones is chance.  Bytes in use can.  A datagram from the
 * test to the socket BERTH_HEAP_SOCKET names is answered with bytes in use, bytes got from the kernel, and what of it the main arena has,
 * after the free pages have been given back.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int sock = -1;

static void *answer(void *arg)
{
    (void)arg;
    for (;;) {
        char byte, text[128];
        struct sockaddr_un from;
        socklen_t len = sizeof(from);
        if (recvfrom(sock, &byte, 1, 0, (struct sockaddr *)&from, &len) < 0)
            return NULL;
        malloc_trim(0);
        struct mallinfo2 m = mallinfo2();
        int n = snprintf(text, sizeof(text), "%zu %zu\n", m.uordblks + m.hblkhd, m.arena + m.hblkhd);
        sendto(sock, text, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

__attribute__((constructor)) static void start(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    const char *path = getenv("BERTH_HEAP_SOCKET");
    if (!path || strlen(path) >= sizeof(sun.sun_path))
        return;
    strcpy(sun.sun_path, path);
    /* the daemon alone: its children must not take the socket over */
    unsetenv("BERTH_HEAP_SOCKET");
    unsetenv("LD_PRELOAD");
    sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || bind(sock, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return;
    sigset_t all, old;
    pthread_t t;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&t, NULL, answer, NULL) == 0)
        pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
