/* What a registry asks for and who we are to it: the challenge, Docker's config.json, the token server's answer.
 * Everything here reads outside bytes and does no I/O. */
#ifndef PLUGINS_STORAGE_ORAS_AUTH_H
#define PLUGINS_STORAGE_ORAS_AUTH_H

#include <stddef.h>
#include <stdint.h>

struct oras_challenge {
  int is_bearer; /* else Basic */
  char realm[512], service[256];
};

/* WWW-Authenticate (RFC 9110 §11.6.1, RFC 6750 §3).  -1: neither Bearer with a realm nor Basic. */
int oras_challenge_parse(const char *value, struct oras_challenge *out);

#define ORAS_MAX_SECRET 8192

struct oras_credentials { /* secret; "" where there is none */
  char username[256], password[ORAS_MAX_SECRET];
  char identity[ORAS_MAX_SECRET]; /* a refresh token instead of both */
  char token[ORAS_MAX_SECRET];    /* a bearer token to be used as it is */
};

/* Those for REGISTRY ("host:port") of Docker's config.json; 0: none, -1: it cannot be read. */
int oras_credentials_find(const char *config, size_t len, const char *registry, struct oras_credentials *out);

/* "Basic ..." into OUT; -1: too long. */
int oras_basic(const struct oras_credentials *c, char *out, size_t size);

/* The token server's JSON: the token into OUT, its life in seconds (60 where it says none, as the distribution
 * specification has it); -1: it is none. */
int oras_token_parse(const char *text, size_t len, char *out, size_t size, uint64_t *seconds);

/* The registry's own word on an error ({"errors":[{code,message}]}), in one line; "" none. */
void oras_errors_text(const char *text, size_t len, char *out, size_t size);

#endif
