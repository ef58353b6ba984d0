/* base/record: what does not fit into a datagram of the journal's socket is passed as a file. */
#include "base/output.h"
#include "base/record.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE (100 * 1024)

static int host_end, journal_end;
static char bytes[LARGE], got[LARGE + 1];

static int open_sockets(void **state)
{
    (void)state;
    int ends[2], least = 1;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    host_end = ends[0];
    journal_end = ends[1];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251);
    /* a few KiB: the kernel's least */
    return setsockopt(host_end, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

static int close_sockets(void **state)
{
    (void)state;
    close(host_end);
    close(journal_end);
    return 0;
}

/* The datagram's length; the file that came with it, or -1. */
static ssize_t receive(int *file)
{
    union {
        char bytes[CMSG_SPACE(sizeof *file)];
        struct cmsghdr aligned;
    } control = {0};
    struct iovec part = {.iov_base = got, .iov_len = sizeof got};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(journal_end, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *file = -1;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(file, CMSG_DATA(header), sizeof *file);
    return length;
}

static void assert_sealed_file(int file, size_t length)
{
    assert_true(file >= 0);
    assert_int_equal(fcntl(file, F_GET_SEALS),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    assert_int_equal(pread(file, got, sizeof got, 0), length);
    assert_memory_equal(got, bytes, length);
    close(file);
}

static void one_that_fits_is_a_datagram(void **state)
{
    (void)state;
    int file;
    assert_true(record_send(host_end, bytes, 500, true));
    assert_int_equal(receive(&file), 500);
    assert_int_equal(file, -1);
    assert_memory_equal(got, bytes, 500);
}

static void one_that_is_too_large_is_passed_whole_in_a_sealed_file(void **state)
{
    (void)state;
    int file;
    assert_true(send(host_end, bytes, LARGE, MSG_DONTWAIT) < 0);
    assert_int_equal(errno, EMSGSIZE);
    assert_true(record_send(host_end, bytes, LARGE, false));
    assert_int_equal(receive(&file), 0);
    assert_sealed_file(file, LARGE);
}

static void no_file_stays_open(void **state)
{
    (void)state;
    int file, before = dup(host_end);
    close(before);
    for (int i = 0; i < 100; i++) {
        assert_true(record_send(host_end, bytes, LARGE, true));
        assert_int_equal(receive(&file), 0);
        close(file);
    }
    int after = dup(host_end);
    close(after);
    assert_int_equal(after, before);
}

static void a_journal_that_is_gone_is_an_error(void **state)
{
    (void)state;
    close(journal_end);
    assert_false(record_send(host_end, bytes, 500, true));
    assert_false(record_send(host_end, bytes, LARGE, true));
}

static void the_log_thread_sends_one_after_the_other(void **state)
{
    (void)state;
    int file;
    output_set_log(STDERR_FILENO, host_end, NULL);
    output_write_record(bytes, 10);
    output_write_record(bytes, LARGE);
    output_write_record(bytes, 20);
    assert_int_equal(receive(&file), 10);
    assert_int_equal(receive(&file), 0);
    assert_sealed_file(file, LARGE);
    assert_int_equal(receive(&file), 20);
    output_flush();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_fits_is_a_datagram, open_sockets, close_sockets),
        cmocka_unit_test_setup_teardown(one_that_is_too_large_is_passed_whole_in_a_sealed_file,
                                        open_sockets, close_sockets),
        cmocka_unit_test_setup_teardown(no_file_stays_open, open_sockets, close_sockets),
        cmocka_unit_test_setup_teardown(a_journal_that_is_gone_is_an_error, open_sockets,
                                        close_sockets),
        cmocka_unit_test_setup_teardown(the_log_thread_sends_one_after_the_other, open_sockets,
                                        close_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
