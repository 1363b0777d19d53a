/* Where credentials come from: files and the environment; and forgetting them. */
#ifndef PLUGINS_COMMON_SECRET_H
#define PLUGINS_COMMON_SECRET_H

#include <stddef.h>

/* A whole file, NUL-terminated; NULL: not there, not readable, longer than MAX.  LEN may be NULL.  The caller's to
 * free. */
char *secret_read_file(const char *path, size_t max, size_t *len);
/* The same up to the first white space, as tokens in files have a line's end. */
char *secret_read_word(const char *path, size_t max);

/* Replaces PATH with LEN bytes that only this user may read: another file beside it, put on stable storage, renamed. -1
 * and errno; the old one is there, then. */
int secret_write_file(const char *path, const char *text, size_t len);

/* Overwrites LEN bytes of TEXT (may be NULL) and frees it. */
void secret_forget(char *text, size_t len);

/* The variable's value when it is set to more than "". */
const char *env_text(const char *name);

#endif
