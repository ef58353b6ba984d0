#include "doors/push_files.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "doors/a2a_private.h"
#include "wire/jsontext.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAXIMUM 64 /* of one request, as the platform takes (contract §1.16) */
#define NAME_MAXIMUM 100 /* bytes of a file's own name in its stored one */

struct pushed_file {
    char *name, *type, *stored;
    struct buffer bytes;
};

/* Files on their way to the disk, or one on its way back. */
struct file_work {
    struct a2a_exchange *exchange;
    char *directory;
    struct pushed_file files[FILES_MAXIMUM];
    size_t count;
    bool done;
    int error;
};

static void free_work(struct file_work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        free(work->files[i].name);
        free(work->files[i].type);
        free(work->files[i].stored);
        buffer_free(&work->files[i].bytes);
    }
    free(work->directory);
    free(work);
}

static struct file_work *make_work(struct a2a_exchange *exchange)
{
    struct file_work *work = memory_allocate(sizeof *work);
    work->exchange = exchange;
    work->directory = memory_copy_text(exchange->agent->push->directory);
    return work;
}

static void run(struct file_work *work, void (*perform)(void *context), void (*done)(void *context))
{
    const struct a2a_push *push = work->exchange->agent->push;
    work->exchange->looking = true;
    disk_run(push->disk, push->network, perform, done, work);
}

/* The exchange if somebody still waits for its answer; else it has ended. */
static struct a2a_exchange *take_back(struct file_work *work)
{
    struct a2a_exchange *exchange = work->exchange;
    exchange->looking = false;
    if (exchange->http)
        return exchange;
    a2a_exchange_end(exchange);
    return NULL;
}

static void answer(struct a2a_exchange *exchange, int status, const char *type, const char *bytes,
                   size_t length)
{
    struct http_request *http = exchange->http;
    struct http_header header = {"Content-Type", type};
    exchange->http = NULL;
    http_request_answer(http, &(struct http_answer){.status = status,
                                                    .headers = &header,
                                                    .header_count = 1,
                                                    .body = bytes,
                                                    .length = length});
    a2a_exchange_end(exchange);
}

static void refuse(struct a2a_exchange *exchange, int status, const char *words)
{
    json_t *object = json_pack("{s:s}", "error", words);
    char *text = jsontext_print(object);
    json_decref(object);
    answer(exchange, status, "application/json", text, strlen(text));
    free(text);
}

/* --- they come --- */

/* "report 1.pdf" -> "<32 hexadecimal digits>-report_1.pdf" */
static char *stored_name(const char *name)
{
    char random[UUID_TEXT_SIZE], plain[NAME_MAXIMUM + 1];
    const char *slash = strrchr(name, '/'), *back = strrchr(name, '\\');
    const char *own = slash && (!back || slash > back) ? slash + 1 : back ? back + 1 : name;
    size_t length = 0;
    for (; *own && length < NAME_MAXIMUM; own++) {
        bool fine = (*own >= 'a' && *own <= 'z') || (*own >= 'A' && *own <= 'Z') ||
                    (*own >= '0' && *own <= '9') || strchr("._-", *own);
        plain[length++] = fine ? *own : '_';
    }
    plain[length] = '\0';
    uuid_random(random);
    return memory_join(random, "-", length ? plain : "file");
}

static bool on_piece(void *context, const char *field, const char *name, const char *type,
                     const char *bytes, size_t length, bool first)
{
    struct file_work *work = context;
    if (!field || strcmp(field, "files") != 0)
        return true;
    if (first) {
        if (work->count == FILES_MAXIMUM)
            return false;
        struct pushed_file *file = &work->files[work->count++];
        file->name = memory_copy_text(name);
        file->type = memory_copy_text(type ? type : "application/octet-stream");
        file->stored = stored_name(name);
        buffer_init(&file->bytes, HTTP_SERVER_BODY_MAXIMUM);
    }
    return work->count > 0 && buffer_append(&work->files[work->count - 1].bytes, bytes, length);
}

static bool write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno != EINTR)
            return false;
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0;
}

static bool write_file(const char *directory, const struct pushed_file *file)
{
    char *path = memory_join(directory, "/", file->stored);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write_whole(fd, file->bytes.data, file->bytes.length);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !written)
        unlink(path);
    free(path);
    errno = error;
    return written;
}

static void work_write(void *context)
{
    struct file_work *work = context;
    (void)mkdir(work->directory, 0700);
    work->done = true;
    for (size_t i = 0; i < work->count && work->done; i++)
        work->done = write_file(work->directory, &work->files[i]);
    work->error = work->done ? 0 : errno;
}

static void work_written(void *context)
{
    struct file_work *work = context;
    struct a2a_exchange *exchange = take_back(work);
    json_t *files = json_array();
    for (size_t i = 0; i < work->count; i++) {
        const struct pushed_file *file = &work->files[i];
        char *uri = memory_join("workspace:" PUSH_FILES_ROOT, file->stored);
        json_array_append_new(files, json_pack("{s:s, s:s, s:s, s:I}", "uri", uri, "name",
                                               file->name, "mimeType", file->type, "size",
                                               (json_int_t)file->bytes.length));
        free(uri);
    }
    json_t *object = json_pack("{s:o}", "files", files);
    char *text = jsontext_print(object);
    if (exchange && work->done && text)
        answer(exchange, 200, "application/json", text, strlen(text));
    else if (exchange)
        refuse(exchange, 507, work->done ? "a file's name is no text" : strerror(work->error));
    json_decref(object);
    free(text);
    free_work(work);
}

void push_files_take(struct a2a_exchange *exchange)
{
    struct file_work *work = make_work(exchange);
    if (http_request_each_file(exchange->http, on_piece, work) && work->count > 0) {
        run(work, work_write, work_written);
        return;
    }
    refuse(exchange, 400,
           work->count == FILES_MAXIMUM ? "at most 64 files"
                                        : "expected multipart/form-data with files");
    free_work(work);
}

/* --- they are read --- */

static void work_read(void *context)
{
    struct file_work *work = context;
    struct pushed_file *file = &work->files[0];
    char *path = memory_join(work->directory, "/", file->stored), block[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length = fd < 0 ? -1 : 0;
    work->error = fd < 0 ? errno : 0;
    while (fd >= 0 && (length = read(fd, block, sizeof block)) > 0)
        if (!buffer_append(&file->bytes, block, (size_t)length))
            break;
    work->done = length == 0;
    if (fd >= 0)
        close(fd);
    free(path);
}

static void work_was_read(void *context)
{
    struct file_work *work = context;
    struct a2a_exchange *exchange = take_back(work);
    const struct buffer *bytes = &work->files[0].bytes;
    if (exchange && work->done)
        answer(exchange, 200, "application/octet-stream", bytes->data ? bytes->data : "",
               bytes->length);
    else if (exchange)
        refuse(exchange, work->error == ENOENT ? 404 : 500,
               work->error == ENOENT ? "there is no such file" : "the file cannot be read");
    free_work(work);
}

/* A name of ours, below the root that the platform knows; NULL: it is none. */
static const char *name_of(const char *path)
{
    size_t length = strlen(PUSH_FILES_ROOT);
    if (!path || strncmp(path, PUSH_FILES_ROOT, length) != 0 || path[length] == '.' ||
        path[length] == '\0' || strchr(path + length, '/'))
        return NULL;
    return path + length;
}

void push_files_give(struct a2a_exchange *exchange)
{
    const char *name = name_of(http_request_argument(exchange->http, "path"));
    if (!name) {
        refuse(exchange, 404, "only files that were handed over are here");
        return;
    }
    struct file_work *work = make_work(exchange);
    work->files[0].stored = memory_copy_text(name);
    buffer_init(&work->files[0].bytes, HTTP_SERVER_BODY_MAXIMUM);
    work->count = 1;
    run(work, work_read, work_was_read);
}

void push_files_expire(const char *directory, int64_t before_ms)
{
    DIR *list = opendir(directory);
    const struct dirent *entry;
    while (list && (entry = readdir(list))) {
        struct stat about;
        char *path = memory_join(directory, "/", entry->d_name);
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode) &&
            (int64_t)about.st_mtim.tv_sec * 1000 < before_ms)
            unlink(path);
        free(path);
    }
    if (list)
        closedir(list);
}
