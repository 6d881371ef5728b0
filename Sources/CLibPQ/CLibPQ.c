/*
 * The functions of libpq that we call. The library is loaded when the first store on PostgreSQL is named, because it
 * brings some twenty others (OpenSSL, Kerberos, LDAP, GnuTLS), five MiB of memory in all, which a node on SQLite does
 * without. Each function here goes to the one of its name there. They are hidden, so that the library's own calls never
 * come here.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)
#include "CLibPQ.h"

#define FUNCTIONS(EACH) \
    EACH(PQconninfoOption *, PQconninfoParse, (const char *uri, char **words), (uri, words)) \
    EACH(PGconn *, PQconnectdbParams, (const char *const *keywords, const char *const *values, int expand), \
         (keywords, values, expand)) \
    EACH(ConnStatusType, PQstatus, (const PGconn *connection), (connection)) \
    EACH(char *, PQerrorMessage, (const PGconn *connection), (connection)) \
    EACH(int, PQserverVersion, (const PGconn *connection), (connection)) \
    EACH(int, PQsocket, (const PGconn *connection), (connection)) \
    EACH(int, PQconsumeInput, (PGconn *connection), (connection)) \
    EACH(PGnotify *, PQnotifies, (PGconn *connection), (connection)) \
    EACH(PQnoticeReceiver, PQsetNoticeReceiver, (PGconn *connection, PQnoticeReceiver receiver, void *argument), \
         (connection, receiver, argument)) \
    EACH(int, PQsetnonblocking, (PGconn *connection, int is_nonblocking), (connection, is_nonblocking)) \
    EACH(int, PQisBusy, (PGconn *connection), (connection)) \
    EACH(int, PQsendQuery, (PGconn *connection, const char *query), (connection, query)) \
    EACH(int, PQsendPrepare, \
         (PGconn *connection, const char *name, const char *query, int count, const Oid *types), \
         (connection, name, query, count, types)) \
    EACH(int, PQsendQueryParams, \
         (PGconn *connection, const char *command, int count, const Oid *types, const char *const *values, \
          const int *lengths, const int *formats, int result_format), \
         (connection, command, count, types, values, lengths, formats, result_format)) \
    EACH(int, PQsendQueryPrepared, \
         (PGconn *connection, const char *name, int count, const char *const *values, const int *lengths, \
          const int *formats, int result_format), \
         (connection, name, count, values, lengths, formats, result_format)) \
    EACH(int, PQenterPipelineMode, (PGconn *connection), (connection)) \
    EACH(int, PQexitPipelineMode, (PGconn *connection), (connection)) \
    EACH(int, PQpipelineSync, (PGconn *connection), (connection)) \
    EACH(int, PQflush, (PGconn *connection), (connection)) \
    EACH(PGresult *, PQgetResult, (PGconn *connection), (connection)) \
    EACH(ExecStatusType, PQresultStatus, (const PGresult *result), (result)) \
    EACH(char *, PQresultErrorField, (const PGresult *result, int field), (result, field)) \
    EACH(char *, PQcmdStatus, (PGresult *result), (result)) \
    EACH(char *, PQcmdTuples, (PGresult *result), (result)) \
    EACH(int, PQntuples, (const PGresult *result), (result)) \
    EACH(Oid, PQftype, (const PGresult *result, int column), (result, column)) \
    EACH(int, PQgetisnull, (const PGresult *result, int row, int column), (result, row, column)) \
    EACH(int, PQgetlength, (const PGresult *result, int row, int column), (result, row, column)) \
    EACH(char *, PQgetvalue, (const PGresult *result, int row, int column), (result, row, column))

#define PROCEDURES(EACH) \
    EACH(void, PQconninfoFree, (PQconninfoOption *options), (options)) \
    EACH(void, PQfreemem, (void *memory), (memory)) \
    EACH(void, PQfinish, (PGconn *connection), (connection)) \
    EACH(void, PQclear, (PGresult *result), (result))

#define DECLARE(result, name, parameters, arguments) static result(*real_##name) parameters;
#define FUNCTION(result, name, parameters, arguments) \
    result name parameters { return real_##name arguments; }
#define PROCEDURE(result, name, parameters, arguments) \
    result name parameters { real_##name arguments; }
#define FIND(result, name, parameters, arguments) \
    if (!(real_##name = (result(*) parameters)dlsym(library, #name))) return #name " is missing in libpq.so.5";

FUNCTIONS(DECLARE)
PROCEDURES(DECLARE)
FUNCTIONS(FUNCTION)
PROCEDURES(PROCEDURE)

static const char *find(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) return "libpq.so.5 cannot be loaded";
    FUNCTIONS(FIND)
    PROCEDURES(FIND)
    return NULL;
}

static const char *fault;

static void load(void) { fault = find(); }

const char *clibpq_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return fault;
}
#pragma GCC visibility pop
