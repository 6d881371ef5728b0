/* A disk that fails, or is remembered. Preloaded into the binary under test (harness/disk.py builds it).
 *
 * For files below the folder DISK_ROOT:
 * - DISK_FAULTS names a file that holds `struct fault[CALLS]`, mapped by the test, too: which calls fail, with which errno, how
 *   many more times (-1: until it is taken back), for names that end in `suffix` (empty: all); and how many did.
 * - DISK_RECORD names a file to which each call that changes the disk is appended, so that the states which a power cut
 *   permits can be made again. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, SYNC, READ, CALLS };
struct fault { volatile int32_t code, left, failed; char suffix[24]; };
struct head { char kind; char pad[3]; uint32_t name_bytes, data_bytes; int64_t at; uint64_t nanoseconds; };

static struct fault none[CALLS], *faults = none;
static const char *root;
static int record = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static void set_up(void) {
    root = getenv("DISK_ROOT");
    const char *path = getenv("DISK_FAULTS");
    int file = path ? NEXT(open64)(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *at = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (at != MAP_FAILED) faults = at;
    }
    path = getenv("DISK_RECORD");
    if (path) {
        file = NEXT(open64)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        /* Out of the way of those who count on low numbers. */
        record = fcntl(file, F_DUPFD_CLOEXEC, 500);
    }
}

static int is_below(const char *name) {
    pthread_once(&once, set_up);
    size_t length = strlen(name);
    int is_index = length > 4 && !strcmp(name + length - 4, "-shm");
    return root && !strncmp(name, root, strlen(root)) && !is_index;
}

static int name_of(int file, char *name, size_t bytes) {
    pthread_once(&once, set_up);
    if (!root || file < 0 || file == record) return 0;
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int saved = errno;
    ssize_t length = readlink(link, name, bytes - 1);
    errno = saved;
    if (length <= 0) return 0;
    name[length] = 0;
    return is_below(name);
}

static int fails(int call, const char *name) {
    struct fault *fault = &faults[call];
    size_t length = strlen(name), end = strlen(fault->suffix);
    if (!fault->code || fault->left == 0 || length < end || strcmp(name + length - end, fault->suffix)) return 0;
    if (fault->left > 0) fault->left -= 1;
    fault->failed += 1;
    return fault->code;
}

static void note(char kind, const char *name, int64_t at, const void *data, size_t bytes) {
    if (record < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct head head = { kind, {0}, (uint32_t)strlen(name), (uint32_t)bytes, at, now.tv_sec * 1000000000ull + now.tv_nsec };
    struct iovec parts[3] = { { &head, sizeof head }, { (void *)name, head.name_bytes }, { (void *)data, bytes } };
    int saved = errno;
    if (writev(record, parts, bytes ? 3 : 2) < 0) abort();
    errno = saved;
}

#define LOCKED(work) pthread_mutex_lock(&order); work; pthread_mutex_unlock(&order)

#define WRITING(function, arguments, place) \
    char name[4096]; \
    if (!name_of(file, name, sizeof name)) return NEXT(function) arguments; \
    ssize_t done; int64_t at = place; \
    LOCKED(int code = fails(WRITE, name); \
        if (code) { done = -1; errno = code; } \
        else if ((done = NEXT(function) arguments) > 0) note('w', name, at, data, (size_t)done)); \
    return done;
ssize_t write(int file, const void *data, size_t bytes) { WRITING(write, (file, data, bytes), lseek(file, 0, SEEK_CUR)) }
ssize_t pwrite(int file, const void *data, size_t bytes, off_t at_) { WRITING(pwrite, (file, data, bytes, at_), at_) }
ssize_t pwrite64(int file, const void *data, size_t bytes, off64_t at_) { WRITING(pwrite64, (file, data, bytes, at_), at_) }

#define READING(function, arguments) \
    char name[4096]; int code; \
    if (faults[READ].code && name_of(file, name, sizeof name) && (code = fails(READ, name))) { errno = code; return -1; } \
    return NEXT(function) arguments;
ssize_t read(int file, void *data, size_t bytes) { READING(read, (file, data, bytes)) }
ssize_t pread(int file, void *data, size_t bytes, off_t at) { READING(pread, (file, data, bytes, at)) }
ssize_t pread64(int file, void *data, size_t bytes, off64_t at) { READING(pread64, (file, data, bytes, at)) }

#define SYNCING(function) \
    char name[4096]; int done; \
    if (!name_of(file, name, sizeof name)) return NEXT(function)(file); \
    LOCKED(int code = fails(SYNC, name); \
        if (code) { done = -1; errno = code; } \
        else if (!(done = NEXT(function)(file))) note('s', name, 0, NULL, 0)); \
    return done;
int fsync(int file) { SYNCING(fsync) }
int fdatasync(int file) { SYNCING(fdatasync) }

#define CUTTING(function) \
    char name[4096]; int done; \
    if (!name_of(file, name, sizeof name)) return NEXT(function)(file, bytes); \
    LOCKED(if (!(done = NEXT(function)(file, bytes))) note('t', name, bytes, NULL, 0)); \
    return done;
int ftruncate(int file, off_t bytes) { CUTTING(ftruncate) }
int ftruncate64(int file, off64_t bytes) { CUTTING(ftruncate64) }

#define OPENING(function, arguments) \
    mode_t mode = 0; struct stat about; char name[4096]; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    int is_new = (flags & O_CREAT) && lstat(path, &about), file; \
    LOCKED(file = NEXT(function) arguments; \
        if (file >= 0 && is_new && name_of(file, name, sizeof name)) note('c', name, 0, NULL, 0)); \
    return file;
int open(const char *path, int flags, ...) { OPENING(open, (path, flags, mode)) }
int open64(const char *path, int flags, ...) { OPENING(open64, (path, flags, mode)) }

#define NAMING(function, kind) \
    int done; \
    LOCKED(if (!(done = NEXT(function)(from, to)) && is_below(to)) note(kind, from, 0, to, strlen(to))); \
    return done;
int rename(const char *from, const char *to) { NAMING(rename, 'r') }
int link(const char *from, const char *to) { NAMING(link, 'l') }

int unlink(const char *path) {
    int done;
    LOCKED(if (!(done = NEXT(unlink)(path)) && is_below(path)) note('u', path, 0, NULL, 0));
    return done;
}
