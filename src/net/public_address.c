#include "net/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* IANA's special-purpose registries (RFC 6890 and its updates), multicast, and what clouds add. */
static const struct {
    uint32_t network;
    int bits;
} not_public[] = {{0x00000000, 8},  /* "this" network */
                  {0x0A000000, 8},  /* private */
                  {0x64400000, 10}, /* carrier-grade NAT; 100.100.100.200: a cloud's metadata */
                  {0x7F000000, 8},  /* loopback */
                  {0xA9FE0000, 16}, /* link-local; 169.254.169.254: metadata */
                  {0xAC100000, 12}, /* private */
                  {0xC0000000, 24}, /* protocol assignments */
                  {0xC0000200, 24}, /* documentation */
                  {0xC0586300, 24}, /* 6to4 relays, no longer in use */
                  {0xC0A80000, 16}, /* private */
                  {0xC6120000, 15}, /* benchmarks */
                  {0xC6336400, 24}, /* documentation */
                  {0xCB007100, 24}, /* documentation */
                  {0xA83F8110, 32}, /* 168.63.129.16: a cloud's host */
                  {0xE0000000, 4},  /* multicast */
                  {0xF0000000, 4}}; /* reserved, and broadcast */

static bool is_public_4(uint32_t address)
{
    for (size_t i = 0; i < sizeof not_public / sizeof *not_public; i++)
        if ((address ^ not_public[i].network) >> (32 - not_public[i].bits) == 0)
            return false;
    return true;
}

static uint32_t four_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool begins(const unsigned char *bytes, const char *prefix, size_t length)
{
    return memcmp(bytes, prefix, length) == 0;
}

static bool is_public_6(const unsigned char *bytes)
{
    /* ::ffff:0:0/96, IPv4-mapped */
    if (begins(bytes, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12) ||
        /* 64:ff9b::/96, through a NAT64 */
        begins(bytes, "\0\x64\xFF\x9B\0\0\0\0\0\0\0\0", 12))
        return is_public_4(four_at(bytes + 12));
    if (begins(bytes, "\x20\x02", 2)) /* 2002::/16, 6to4 */
        return is_public_4(four_at(bytes + 2));
    /* all that is assigned so far is in 2000::/3 */
    if ((bytes[0] & 0xE0) != 0x20)
        return false;
    /* 2001::/23: Teredo and other protocols */
    return !(begins(bytes, "\x20\x01", 2) && bytes[2] < 2) &&
           !begins(bytes, "\x20\x01\x0D\xB8", 4) &&            /* documentation */
           !(begins(bytes, "\x3F\xFF", 2) && bytes[2] < 0x10); /* documentation */
}

bool public_address(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_public_4(
            ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return is_public_6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return false;
}

bool public_address_text(const char *text)
{
    struct in_addr four;
    struct in6_addr six;
    if (text && inet_pton(AF_INET, text, &four) == 1)
        return is_public_4(ntohl(four.s_addr));
    return text && inet_pton(AF_INET6, text, &six) == 1 && is_public_6(six.s6_addr);
}
