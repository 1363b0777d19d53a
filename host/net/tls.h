/* Certificates and TLS contexts (OpenSSL): what the embedded API server, the webhooks and the tests need. */
#ifndef HOST_NET_TLS_H
#define HOST_NET_TLS_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct ssl_ctx_st;

struct tls_pair {
  char *cert_pem; /* new */
  char *key_pem;  /* new; secret */
};
void tls_pair_fini(struct tls_pair *p);

/* A self-signed P-256 CA, valid DAYS from now. */
int32_t tls_make_ca(const char *common_name, int days, struct tls_pair *out, struct ome_err *err);
/* A P-256 leaf signed by CA for the DNS names and IP addresses in NAMES (NULL-terminated); for server and client use.
 */
int32_t tls_make_leaf(const struct tls_pair *ca, const char *common_name, const char *const *names, int days,
                      struct tls_pair *out, struct ome_err *err);
/* A self-signed P-256 leaf for NAMES as above: an identity that is published instead of vouched for. */
int32_t tls_make_own(const char *common_name, const char *const *names, int days, struct tls_pair *out,
                     struct ome_err *err);
/* SHA-256 of CERT_PEM's DER form, lower-case hex; false: it is no certificate. */
bool tls_fingerprint(const char *cert_pem, char out[65]);
/* Seconds until CERT_PEM expires; negative when it has. */
int32_t tls_expires_in(const char *cert_pem, int64_t *out_seconds, struct ome_err *err);

/* Instead of a CA: ask for client certificates and take any, or none.  The handshake proves that the client has the
 * key; whose that is, whoever answers asks http_client_fingerprint(). */
#define TLS_ANY_CLIENT ""
/* TLS 1.2 or newer, ALPN http/1.1.  CLIENT_CA_PEM: ask for client certificates and verify those that come; NULL: do
 * not ask.  Free with tls_context_free(). */
int32_t tls_server_context(const struct tls_pair *pair, const char *client_ca_pem, struct ssl_ctx_st **out,
                           struct ome_err *err);
/* Another pair for the connections to come.  On the thread of the server that uses CTX. */
int32_t tls_server_replace(struct ssl_ctx_st *ctx, const struct tls_pair *pair, struct ome_err *err);
void tls_context_free(struct ssl_ctx_st *ctx);

#endif
