/* What the WASM module has beside SQLite and fafcas: SQLite's way to files, and its start.
 *
 * Files are the caller's: the functions that the module imports from `files` read and write them. One module is one process with one
 * thread, and its files belong to it alone, so locks and the shared memory of WAL need to be known in here only. The exported
 * functions are those of SQLite that index.js calls, and the two at the end of this file.
 */
#include "fafcas.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IMPORT(name) __attribute__((import_module("files"), import_name(#name)))

/* Numbers of bytes in files are doubles: JavaScript has them without conversion, and they are whole up to 2^53. */
IMPORT(open) int file_open(const char *name, int flags);
IMPORT(close) void file_close(int file, int is_deleted);
IMPORT(read) int file_read(int file, void *to, int bytes, double at);
IMPORT(write) int file_write(int file, const void *from, int bytes, double at);
IMPORT(truncate) int file_truncate(int file, double bytes);
IMPORT(sync) int file_sync(int file);
IMPORT(size) double file_size(int file);
IMPORT(delete) int file_delete(const char *name);
IMPORT(exists) int file_exists(const char *name);

enum { LONGEST_NAME = 512, LOCKS = SQLITE_SHM_NLOCK, REGIONS = 256 };

typedef struct File File;

/* What all connections of one file share. */
typedef struct Shared {
    struct Shared *next;
    char *name;
    int files;
    int readers;
    File *writer;      /* who has RESERVED or more */
    int is_closing;    /* the writer waits for readers to leave, or writes */
    char *regions[REGIONS];
    int users;         /* of the regions */
    int shared[LOCKS]; /* how many have this lock of WAL, -1 if one alone has it */
} Shared;

struct File {
    sqlite3_file base;
    int file;
    int flags;
    int lock;
    int uses_regions;
    Shared *shared;
};

static Shared *all;

static Shared *share(const char *name)
{
    Shared *shared;
    for (shared = all; shared; shared = shared->next) {
        if (strcmp(shared->name, name) == 0) {
            shared->files++;
            return shared;
        }
    }
    shared = calloc(1, sizeof *shared);
    if (!shared)
        return NULL;
    shared->name = strdup(name);
    if (!shared->name) {
        free(shared);
        return NULL;
    }
    shared->files = 1;
    shared->next = all;
    all = shared;
    return shared;
}

static void forget_regions(Shared *shared)
{
    for (int region = 0; region < REGIONS; region++) {
        free(shared->regions[region]);
        shared->regions[region] = NULL;
    }
    memset(shared->shared, 0, sizeof shared->shared);
}

static void unshare(Shared *shared)
{
    Shared **place = &all;
    if (!shared || --shared->files > 0)
        return;
    while (*place != shared)
        place = &(*place)->next;
    *place = shared->next;
    forget_regions(shared);
    free(shared->name);
    free(shared);
}

static int file_unlock(sqlite3_file *base, int lock)
{
    File *file = (File *)base;
    Shared *shared = file->shared;
    if (!shared || file->lock <= lock)
        return SQLITE_OK;
    if (shared->writer == file) {
        shared->writer = NULL;
        shared->is_closing = 0;
    }
    if (lock == SQLITE_LOCK_NONE)
        shared->readers--;
    file->lock = lock;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int lock)
{
    File *file = (File *)base;
    Shared *shared = file->shared;
    if (!shared || file->lock >= lock)
        return SQLITE_OK;
    if (file->lock == SQLITE_LOCK_NONE) {
        if (shared->is_closing)
            return SQLITE_BUSY;
        shared->readers++;
        file->lock = SQLITE_LOCK_SHARED;
    }
    if (lock == SQLITE_LOCK_SHARED)
        return SQLITE_OK;
    if (shared->writer && shared->writer != file)
        return SQLITE_BUSY;
    shared->writer = file;
    if (lock == SQLITE_LOCK_RESERVED) {
        file->lock = lock;
        return SQLITE_OK;
    }
    shared->is_closing = 1;
    file->lock = SQLITE_LOCK_PENDING;
    if (shared->readers > 1)
        return SQLITE_BUSY;
    file->lock = lock;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *is_reserved)
{
    File *file = (File *)base;
    *is_reserved = file->shared && file->shared->writer;
    return SQLITE_OK;
}

static int file_shm_map(sqlite3_file *base, int region, int bytes, int is_written, void volatile **memory)
{
    File *file = (File *)base;
    Shared *shared = file->shared;
    *memory = NULL;
    if (!shared || region < 0 || region >= REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (!file->uses_regions) {
        file->uses_regions = 1;
        shared->users++;
    }
    if (!shared->regions[region] && is_written) {
        shared->regions[region] = calloc(1, bytes);
        if (!shared->regions[region])
            return SQLITE_IOERR_NOMEM;
    }
    *memory = shared->regions[region];
    return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    Shared *shared = ((File *)base)->shared;
    if (!shared)
        return SQLITE_IOERR_SHMLOCK;
    for (int at = first; at < first + count; at++) {
        int held = shared->shared[at];
        if ((flags & SQLITE_SHM_LOCK) && ((flags & SQLITE_SHM_EXCLUSIVE) ? held != 0 : held < 0))
            return SQLITE_BUSY;
    }
    for (int at = first; at < first + count; at++) {
        int *held = &shared->shared[at];
        if (flags & SQLITE_SHM_EXCLUSIVE)
            *held = (flags & SQLITE_SHM_LOCK) ? -1 : 0;
        else
            *held += (flags & SQLITE_SHM_LOCK) ? 1 : -1;
    }
    return SQLITE_OK;
}

static void file_shm_barrier(sqlite3_file *base)
{
}

static int file_shm_unmap(sqlite3_file *base, int is_deleted)
{
    File *file = (File *)base;
    if (!file->uses_regions)
        return SQLITE_OK;
    file->uses_regions = 0;
    if (--file->shared->users == 0)
        forget_regions(file->shared);
    return SQLITE_OK;
}

static int close_file(sqlite3_file *base)
{
    File *file = (File *)base;
    file_shm_unmap(base, 0);
    file_unlock(base, SQLITE_LOCK_NONE);
    unshare(file->shared);
    file_close(file->file, file->flags & SQLITE_OPEN_DELETEONCLOSE);
    return SQLITE_OK;
}

static int read_file(sqlite3_file *base, void *to, int bytes, sqlite3_int64 at)
{
    int got = file_read(((File *)base)->file, to, bytes, at);
    if (got < 0)
        return SQLITE_IOERR_READ;
    if (got == bytes)
        return SQLITE_OK;
    memset((char *)to + got, 0, bytes - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int write_file(sqlite3_file *base, const void *from, int bytes, sqlite3_int64 at)
{
    return file_write(((File *)base)->file, from, bytes, at) == 0 ? SQLITE_OK : SQLITE_FULL;
}

static int truncate_file(sqlite3_file *base, sqlite3_int64 bytes)
{
    return file_truncate(((File *)base)->file, bytes) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int sync_file(sqlite3_file *base, int flags)
{
    return file_sync(((File *)base)->file) == 0 ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int size_of_file(sqlite3_file *base, sqlite3_int64 *bytes)
{
    double size = file_size(((File *)base)->file);
    *bytes = (sqlite3_int64)size;
    return size < 0 ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int control(sqlite3_file *base, int operation, void *argument)
{
    return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *base)
{
    return 4096;
}

static int characteristics(sqlite3_file *base)
{
    return SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
}

static const sqlite3_io_methods METHODS = {
    2, close_file, read_file, write_file, truncate_file, sync_file, size_of_file, file_lock, file_unlock, file_check_reserved,
    control, sector_size, characteristics, file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *granted)
{
    File *file = (File *)base;
    memset(file, 0, sizeof *file);
    file->flags = flags;
    /* A file without a name is for this connection alone. */
    if (!name)
        file->flags |= SQLITE_OPEN_DELETEONCLOSE;
    if (name && (flags & SQLITE_OPEN_MAIN_DB)) {
        file->shared = share(name);
        if (!file->shared)
            return SQLITE_NOMEM;
    }
    file->file = file_open(name ? name : "", flags);
    if (file->file < 0) {
        unshare(file->shared);
        return SQLITE_CANTOPEN;
    }
    if (granted)
        *granted = flags;
    file->base.pMethods = &METHODS;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int is_synced)
{
    if (!file_exists(name))
        return SQLITE_IOERR_DELETE_NOENT;
    return file_delete(name) == 0 ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *is_there)
{
    *is_there = file_exists(name);
    return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int room, char *full)
{
    if ((int)strlen(name) >= room)
        return SQLITE_CANTOPEN;
    strcpy(full, name);
    return SQLITE_OK;
}

static int randomness(sqlite3_vfs *vfs, int bytes, char *to)
{
    int done = 0;
    while (done < bytes) {
        int part = bytes - done < 256 ? bytes - done : 256;
        if (getentropy(to + done, part) != 0)
            break;
        done += part;
    }
    return done;
}

/* Nobody else runs meanwhile, so there is nothing to wait for. */
static int sleep_for(sqlite3_vfs *vfs, int microseconds)
{
    return microseconds;
}

static int current_time_in_milliseconds(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
    static const sqlite3_int64 JULIAN_DAY_OF_1970 = 210866760000000;
    struct timespec time;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0)
        return SQLITE_ERROR;
    *now = JULIAN_DAY_OF_1970 + (sqlite3_int64)time.tv_sec * 1000 + time.tv_nsec / 1000000;
    return SQLITE_OK;
}

static int current_time(sqlite3_vfs *vfs, double *now)
{
    sqlite3_int64 milliseconds;
    int code = current_time_in_milliseconds(vfs, &milliseconds);
    *now = milliseconds / 86400000.0;
    return code;
}

static int last_error(sqlite3_vfs *vfs, int room, char *text)
{
    return 0;
}

static sqlite3_vfs VFS = {
    2, sizeof(File), LONGEST_NAME, NULL, "files", NULL, open_file, delete_file, access_file, full_name, NULL, NULL, NULL, NULL,
    randomness, sleep_for, current_time, last_error, current_time_in_milliseconds,
};

/* SQLite calls these two where it is compiled without files of a system's. */
int sqlite3_os_init(void)
{
    return sqlite3_vfs_register(&VFS, 1);
}

int sqlite3_os_end(void)
{
    return SQLITE_OK;
}

/* Before anything else. Gives SQLite's result code. */
int fafcas_start(void)
{
    int code = sqlite3_initialize();
    return code == SQLITE_OK ? fafcas_register() : code;
}

/* SQLITE_TRANSIENT is no function that JavaScript could name. */
int fafcas_bind(sqlite3_stmt *statement, int at, int is_text, const char *bytes, int length)
{
    if (is_text)
        return sqlite3_bind_text(statement, at, bytes, length, SQLITE_TRANSIENT);
    return sqlite3_bind_blob(statement, at, bytes, length, SQLITE_TRANSIENT);
}
