/* fafcas in a C or C++ program that links SQLite and libfafcas.a. Call fafcas_register() once, before opening databases:
 *
 *     cc program.c -Iinclude libfafcas.a -lsqlite3 -lpthread -lm -ldl -lgcc_s
 */
#ifndef FAFCAS_H
#define FAFCAS_H

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3_api_routines;

/* The entry point, for SQLite alone to call. */
int sqlite3_fafcas_init(sqlite3 *db, char **message, const struct sqlite3_api_routines *host);

/* Lets views and triggers that a database file stores search, as FAFCAS_SCHEMA_SEARCH=1 in the environment does, on connections
 * that this process opens from now on. Only for programs that trust every file they open. */
void fafcas_allow_schema_search(void);

/* Gives every connection that this process opens from now on fafcas's functions. Returns SQLite's result code. */
static inline int fafcas_register(void)
{
    return sqlite3_auto_extension((void (*)(void))sqlite3_fafcas_init);
}

#ifdef __cplusplus
}
#endif

#endif
