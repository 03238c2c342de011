/* Preloaded: lets the n-th call that changes something under a folder fail with EIO, or the n-th
 * and all after it. A write that fails has written half of its bytes. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static atomic_long failing, seen;
static atomic_int lasting, armed;
static _Atomic(const char *) failed;

void failing_calls_arm(const char *under, long nth, int and_after) {
    snprintf(folder, sizeof folder, "%s", under);
    failing = nth;
    lasting = and_after;
    seen = 0;
    failed = NULL;
    armed = 1;
}

/* The number of calls seen since it was armed. */
long failing_calls_disarm(void) {
    armed = 0;
    return seen;
}

/* The name of the first call that failed. */
const char *failing_calls_failed(void) {
    return failed;
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *under = getenv("FAILING_CALLS_UNDER"), *nth = getenv("FAILING_CALLS_NTH");
    if (under && nth) failing_calls_arm(under, atol(nth), getenv("FAILING_CALLS_LASTING") != NULL);
}

static int is_due(const char *path, const char *call) {
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) || (path[length] && path[length] != '/')) return 0;
    long now = ++seen;
    if (now != failing && !(lasting && now > failing)) return 0;
    const char *none = NULL;
    atomic_compare_exchange_strong(&failed, &none, call);
    return 1;
}

static int descriptor_fails(int descriptor, const char *call) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_due(path, call);
}

static int path_fails(int parent, const char *path, const char *call) {
    char link[64], whole[2 * PATH_MAX];
    if (!armed || !path) return 0;
    if (path[0] == '/') return is_due(path, call);
    snprintf(link, sizeof link, "/proc/self/fd/%d", parent);
    ssize_t length = readlink(parent == AT_FDCWD ? "/proc/self/cwd" : link, whole, PATH_MAX - 1);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return is_due(whole, call);
}

#define FAIL return errno = EIO, -1
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define ON_DESCRIPTOR(name, parameters, arguments)             \
    int name parameters {                                      \
        if (descriptor_fails(descriptor, #name)) FAIL;         \
        return REAL(name) arguments;                           \
    }
ON_DESCRIPTOR(fsync, (int descriptor), (descriptor))
ON_DESCRIPTOR(fdatasync, (int descriptor), (descriptor))
ON_DESCRIPTOR(ftruncate, (int descriptor, off_t size), (descriptor, size))
ON_DESCRIPTOR(ftruncate64, (int descriptor, off64_t size), (descriptor, size))

#define WRITE(name, parameters, arguments, half)               \
    ssize_t name parameters {                                  \
        if (descriptor_fails(descriptor, #name)) {             \
            if (REAL(name) half < 0) FAIL;                     \
            FAIL;                                              \
        }                                                      \
        return REAL(name) arguments;                           \
    }
#define BYTES int descriptor, const void *bytes, size_t count
#define VECTORS int descriptor, const struct iovec *vectors, int count
WRITE(write, (BYTES), (descriptor, bytes, count), (descriptor, bytes, count / 2))
WRITE(pwrite, (BYTES, off_t at), (descriptor, bytes, count, at), (descriptor, bytes, count / 2, at))
WRITE(pwrite64, (BYTES, off64_t at), (descriptor, bytes, count, at),
      (descriptor, bytes, count / 2, at))
WRITE(writev, (VECTORS), (descriptor, vectors, count), (descriptor, vectors, count / 2))
WRITE(pwritev, (VECTORS, off_t at), (descriptor, vectors, count, at),
      (descriptor, vectors, count / 2, at))
WRITE(pwritev64, (VECTORS, off64_t at), (descriptor, vectors, count, at),
      (descriptor, vectors, count / 2, at))

#define ON_PATH(name, parent, path, parameters, arguments)     \
    int name parameters {                                      \
        if (path_fails(parent, path, #name)) FAIL;             \
        return REAL(name) arguments;                           \
    }
ON_PATH(rename, AT_FDCWD, new, (const char *old, const char *new), (old, new))
ON_PATH(renameat, to, new, (int from, const char *old, int to, const char *new),
        (from, old, to, new))
ON_PATH(renameat2, to, new, (int from, const char *old, int to, const char *new, unsigned flags),
        (from, old, to, new, flags))
ON_PATH(link, AT_FDCWD, new, (const char *old, const char *new), (old, new))
ON_PATH(linkat, to, new, (int from, const char *old, int to, const char *new, int flags),
        (from, old, to, new, flags))
ON_PATH(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdirat, parent, path, (int parent, const char *path, mode_t mode), (parent, path, mode))
ON_PATH(unlink, AT_FDCWD, path, (const char *path), (path))
ON_PATH(unlinkat, parent, path, (int parent, const char *path, int flags), (parent, path, flags))
ON_PATH(rmdir, AT_FDCWD, path, (const char *path), (path))
ON_PATH(truncate, AT_FDCWD, path, (const char *path, off_t size), (path, size))
ON_PATH(truncate64, AT_FDCWD, path, (const char *path, off64_t size), (path, size))

#define MODE(flags)                                            \
    mode_t mode = 0;                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                       \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                          \
    }
#define WRITES(flags) (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define OPEN(name)                                             \
    int name(const char *path, int flags, ...) {               \
        MODE(flags)                                            \
        if (WRITES(flags) && path_fails(AT_FDCWD, path, #name)) FAIL; \
        return REAL(name)(path, flags, mode);                  \
    }
#define OPENAT(name)                                           \
    int name(int parent, const char *path, int flags, ...) {   \
        MODE(flags)                                            \
        if (WRITES(flags) && path_fails(parent, path, #name)) FAIL; \
        return REAL(name)(parent, path, flags, mode);          \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
