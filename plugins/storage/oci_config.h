/* What Oracle's tools keep in ~/.oci/config, and the claims of the tokens that principals get.  Reads outside bytes,
 * does no I/O. */
#ifndef PLUGINS_STORAGE_OCI_CONFIG_H
#define PLUGINS_STORAGE_OCI_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct oci_profile { /* "" where the file says nothing */
  char user[256], tenancy[256], fingerprint[64], region[64];
  char key_file[1024], security_token_file[1024];
  char pass_phrase[256]; /* secret */
};

/* PROFILE of TEXT, what it does not say taken from [DEFAULT].  -1: there is no such profile; -2: TEXT is none. */
int oci_config_read(const char *text, size_t len, const char *profile, struct oci_profile *out);

/* "exp" of a JSON web token (RFC 7519), in seconds since 1970; "ST$" before it is skipped.  -1: it is none. */
int oci_token_expiry(const char *token, int64_t *exp);

#endif
