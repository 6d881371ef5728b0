#ifndef CLIBPQ_H
#define CLIBPQ_H

/* Debian keeps it in a folder of its own. */
#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

/*
 * Loads libpq, which the functions of its header need; call it before any of them, as often as you like, on any thread.
 * Returns NULL, or what the linker says of a library that is missing or too old.
 */
const char *clibpq_load(void);

#endif
