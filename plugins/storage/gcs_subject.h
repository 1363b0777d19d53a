/* The token of a subject of workload identity federation, from wherever its credentials say: a file, an address, a
 * program, this machine's identity at AWS, a certificate. */
#ifndef PLUGINS_STORAGE_GCS_SUBJECT_H
#define PLUGINS_STORAGE_GCS_SUBJECT_H

#include "gcs_external.h"
#include "gcs_session.h"

struct gcs_subject {
  const struct gcs_session *s;
  const struct gcs_external *x;
  const char *where; /* the credentials are, for messages */
  const char *what;  /* the same with the plugin's name */
};

/* Got anew each time; secret, the caller's to free; NULL after a failure. */
int32_t gcs_subject_of(const struct gcs_subject *w, char **out, struct ome_err *err);

/* Files of the certificate that the exchange is to show, and of its key; "" none. */
int32_t gcs_subject_certificate(const struct gcs_subject *w, char cert[GCS_PATH_TEXT], char key[GCS_PATH_TEXT],
                                struct ome_err *err);

#endif
