/* One burst to many viewers: for each, its packets are stamped, protected and handed to the kernel.
 *
 * transport_row.py says what it is given, and does in Python what is left undone here. It knows
 * nothing of Python, keeps nothing, and allocates nothing. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* <linux/udp.h>: the kernel cuts what it is given into datagrams of this size. */
#define UDP_SEGMENT 103

typedef int (*protect_function)(void *session, void *packet, int *length);

/* To where one viewer's packets go: `transport_row.Way`. */
struct way {
    void *session;        /* libsrtp's */
    uint64_t packets;     /* sent here */
    uint64_t octets;
    int32_t socket;       /* -1: nothing can be sent here at the moment */
    uint32_t tag;         /* bytes that protection appends */
    uint32_t address_size;
    uint8_t address[28];  /* a sockaddr_in or sockaddr_in6 */
};

struct viewer {
    struct way *way;
    uint32_t number;      /* what is added for it to the common numbers */
    uint32_t timestamp;
    uint32_t ssrc;
};

/* Packets of one size, which the kernel takes in one go; the last may be smaller. */
struct run {
    uint32_t start;
    uint32_t end;
    uint32_t segment;
};

struct burst {
    protect_function protect;
    const uint8_t *plain; /* the packets, one after the other, with room for the tag behind each */
    uint8_t *buffer;      /* as large */
    uint32_t size;
    uint32_t tag;
    const uint32_t *starts;
    const uint32_t *lengths; /* without the tag */
    uint32_t packets;
    const struct run *runs;
    uint32_t run_count;
    uint32_t number;      /* of the first packet */
    uint32_t timestamp;
};

const uint32_t layout[] = {sizeof(struct way), sizeof(struct viewer), sizeof(struct run),
                           sizeof(struct burst)};

static int protect(const struct burst *burst, const struct viewer *viewer)
{
    uint32_t timestamp = htonl(burst->timestamp + viewer->timestamp);
    uint32_t ssrc = htonl(viewer->ssrc);

    memcpy(burst->buffer, burst->plain, burst->size);
    for (uint32_t index = 0; index < burst->packets; index++) {
        uint8_t *packet = burst->buffer + burst->starts[index];
        uint16_t number = htons((uint16_t)(burst->number + viewer->number + index));
        int length = (int)burst->lengths[index];

        memcpy(packet + 2, &number, sizeof number);
        memcpy(packet + 4, &timestamp, sizeof timestamp);
        memcpy(packet + 8, &ssrc, sizeof ssrc);
        if (burst->protect(viewer->way->session, packet, &length) != 0)
            return -1;
    }
    return 0;
}

static int transmit(const struct burst *burst, struct way *way)
{
    for (uint32_t index = 0; index < burst->run_count; index++) {
        const struct run *run = &burst->runs[index];
        struct iovec data = {burst->buffer + run->start, run->end - run->start};
        struct msghdr message = {
            .msg_name = way->address,
            .msg_namelen = way->address_size,
            .msg_iov = &data,
            .msg_iovlen = 1,
        };
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(sizeof(uint16_t))];
        } control;

        if (data.iov_len != run->segment) {
            uint16_t segment = (uint16_t)run->segment;

            memset(&control, 0, sizeof control);
            control.header.cmsg_level = IPPROTO_UDP;
            control.header.cmsg_type = UDP_SEGMENT;
            control.header.cmsg_len = CMSG_LEN(sizeof segment);
            memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
            message.msg_control = &control;
            message.msg_controllen = sizeof control.room;
        }
        if (sendmsg(way->socket, &message, MSG_DONTWAIT) < 0)
            return -1;
    }
    return 0;
}

/* Returns how many viewers are left to be sent it otherwise, whose places are in `left`. */
uint32_t send_burst(const struct burst *burst, const struct viewer *viewers, uint32_t count,
                    uint32_t *left)
{
    uint32_t left_count = 0;

    for (uint32_t place = 0; place < count; place++) {
        struct way *way = viewers[place].way;

        if (way->socket < 0 || way->tag != burst->tag || protect(burst, &viewers[place]) != 0 ||
            transmit(burst, way) != 0) {
            left[left_count++] = place;
            continue;
        }
        way->packets += burst->packets;
        way->octets += burst->size;
    }
    return left_count;
}
