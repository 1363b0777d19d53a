/* Shared by the files of an upload (upload.c) and the requests of each (upload_send.c). */
#ifndef HOST_TRANSFER_UPLOAD_INTERNAL_H
#define HOST_TRANSFER_UPLOAD_INTERNAL_H

#include "net/http_client.h"
#include "transfer/upload.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct upload {
  const struct upload_job *job;
  struct http_client *client;
  uint32_t connections;
  uint64_t total_bytes;
  atomic_uint_fast64_t bytes; /* sent; what has to be sent again is taken off */
  atomic_bool stop;
  sem_t hashing;
  pthread_mutex_t lock; /* for the rest */
  size_t nbegun;
  uint32_t ndone;
  uint64_t told_ms, told_bytes;
  double rate;
  int32_t rc;
  struct ome_err err;
};

/* ctx of a struct ome_uploader: one file, open. */
struct upload_source {
  struct upload *upload;
  const struct upload_file *file;
  int fd;
};

/* The methods of struct ome_uploader. */
int32_t upload_send(struct ome_uploader *to, const struct ome_list *requests,
                    int32_t (*answer)(void *arg, uint32_t index, const struct ome_upload_answer *a), void *arg,
                    struct ome_err *err);
int32_t upload_read(struct ome_uploader *to, uint64_t offset, uint64_t len, void *into, struct ome_err *err);

void upload_tick(struct upload *u); /* tells progress when it is time */
void upload_retry_told(struct upload *u, const char *file, const char *message);
bool upload_stopped(void *upload);

#endif
