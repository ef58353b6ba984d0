/* Which addresses a sender's file may be fetched from. */
#include "unit.h"

#include "net/public_address.h"

#include <stddef.h>

static void what_is_of_this_machine_its_network_or_nobody_is_not_public(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0",
                                        "0.1.2.3",
                                        "10.0.0.1",
                                        "10.255.255.255",
                                        "100.64.0.1",
                                        "100.100.100.200",
                                        "100.127.255.255",
                                        "127.0.0.1",
                                        "127.255.255.255",
                                        "168.63.129.16",
                                        "169.254.169.254",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.0.0.192",
                                        "192.0.2.1",
                                        "192.168.1.1",
                                        "198.18.0.1",
                                        "198.19.255.255",
                                        "198.51.100.7",
                                        "203.0.113.9",
                                        "224.0.0.1",
                                        "239.255.255.255",
                                        "240.0.0.1",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "::127.0.0.1",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.0.0.1",
                                        "::ffff:169.254.169.254",
                                        "64:ff9b::a00:1",
                                        "64:ff9b:1::1",
                                        "100::1",
                                        "2001::1",
                                        "2001:db8::1",
                                        "2002:7f00:1::",
                                        "2002:a9fe:a9fe::",
                                        "fc00::1",
                                        "fd00:ec2::254",
                                        "fe80::1",
                                        "fec0::1",
                                        "ff02::1",
                                        "3fff::1",
                                        "4000::1",
                                        "",
                                        "localhost",
                                        "1.2.3",
                                        "1.2.3.4.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (public_address_text(texts[i]))
            fail_msg("%s is taken for public", texts[i]);
    assert_false(public_address_text(NULL));
}

static void what_is_on_the_internet_is_public(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.1.1.1",        "9.255.255.255",    "11.0.0.1",        "100.63.255.255",
        "100.128.0.1",    "126.0.0.1",        "128.0.0.1",       "172.15.0.1",
        "172.32.0.1",     "192.167.0.1",      "192.169.0.1",     "223.255.255.1",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2001:4860:4860::8888",
        "2002:808:808::", "2a00:1450::1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!public_address_text(texts[i]))
            fail_msg("%s is not taken for public", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_of_this_machine_its_network_or_nobody_is_not_public),
        cmocka_unit_test(what_is_on_the_internet_is_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
