#include "base/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static bool send_message(int fd, const struct msghdr *message, bool patient)
{
    ssize_t sent;
    do {
        sent = sendmsg(fd, message, MSG_NOSIGNAL | (patient ? 0 : MSG_DONTWAIT));
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* -1: there is no memory. */
static int make_file(const char *bytes, size_t length)
{
    int file = memfd_create("molecule-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    while (file >= 0 && length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        bytes += written;
        length -= (size_t)written;
    }
    /* the journal maps only what cannot change any more */
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    if (file >= 0 && length == 0 && fcntl(file, F_ADD_SEALS, seals) == 0)
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

static bool pass_file(int fd, int file, bool patient)
{
    union {
        char bytes[CMSG_SPACE(sizeof file)];
        struct cmsghdr aligned;
    } control = {0};
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(header), &file, sizeof file);
    return send_message(fd, &message, patient);
}

bool record_send(int fd, const char *bytes, size_t length, bool patient)
{
    struct iovec part = {.iov_base = (char *)bytes, .iov_len = length};
    const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (send_message(fd, &message, patient))
        return true;
    int file = errno == EMSGSIZE || errno == ENOBUFS ? make_file(bytes, length) : -1;
    if (file < 0)
        return false;
    bool passed = pass_file(fd, file, patient);
    close(file);
    return passed;
}
