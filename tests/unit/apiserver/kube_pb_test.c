#include "../unit.h"

#include "apiserver/kube_pb.h"
#include "documents.h"

/* Messages are written here as a client would: tag, length, content. */
static void put(struct buf *b, unsigned number, const char *text, size_t len) {
  buf_addc(b, (char)(number << 3 | 2));
  buf_addc(b, (char)len);
  buf_add(b, text, len);
}

static void puts_(struct buf *b, unsigned number, const char *text) {
  put(b, number, text, strlen(text));
}

static void put_message(struct buf *b, unsigned number, struct buf *in) {
  put(b, number, buf_str(in), in->len);
  buf_clear(in);
}

/* The envelope around BODY. */
static void seal(struct buf *out, const char *version, const char *kind, const struct buf *body) {
  _cleanup_buf_ struct buf type = BUF_INIT;

  buf_clear(out);
  buf_add(out, "k8s\0", 4);
  puts_(&type, 1, version);
  puts_(&type, 2, kind);
  put_message(out, 1, &type);
  put(out, 2, buf_str(body), body->len);
}

static void assert_decodes(const struct buf *b, const char *expected) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (kube_pb_decode(b->data, b->len, &o, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_json(o, expected, "object");
}

static void test_objects(void **state) {
  _cleanup_buf_ struct buf out = BUF_INIT, body = BUF_INIT, in = BUF_INIT, in2 = BUF_INIT;

  (void)state;
  puts_(&in, 1, "x");
  puts_(&in, 3, "");  /* namespace: not set */
  put(&in, 8, "", 0); /* creationTimestamp: none */
  put_message(&body, 1, &in);
  puts_(&in, 1, "k");
  puts_(&in, 2, "v");
  put_message(&body, 2, &in);
  puts_(&in, 1, "empty");
  put_message(&body, 2, &in);
  seal(&out, "v1", "ConfigMap", &body);
  assert_decodes(&out, "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'data':{'k':'v','empty':''}}");

  buf_clear(&body);
  puts_(&in, 1, "k");
  put(&in, 2, "\1\2\3", 3);
  put_message(&body, 2, &in);
  puts_(&body, 3, "Opaque");
  seal(&out, "v1", "Secret", &body);
  assert_decodes(&out, "{'apiVersion':'v1','kind':'Secret','data':{'k':'AQID'},'type':'Opaque'}");

  /* replicas is a pointer: its 0 is meant; strategy's rollingUpdate.maxSurge is "25%" */
  buf_clear(&body);
  buf_add(&in, "\x08\x00", 2);
  buf_add(&in2, "\x08\x01", 2);
  puts_(&in2, 3, "25%");
  _cleanup_buf_ struct buf rolling = BUF_INIT, strategy = BUF_INIT;
  put_message(&rolling, 2, &in2);
  puts_(&strategy, 1, "RollingUpdate");
  put_message(&strategy, 2, &rolling);
  put_message(&in, 4, &strategy);
  buf_add(&in, "\x28\x00", 2); /* minReadySeconds: its 0 is not */
  put_message(&body, 2, &in);
  seal(&out, "apps/v1", "Deployment", &body);
  assert_decodes(&out, "{'apiVersion':'apps/v1','kind':'Deployment','spec':{'replicas':0,'strategy':{'type':"
                       "'RollingUpdate','rollingUpdate':{'maxSurge':'25%'}}}}");
}

static void test_refused(void **state) {
  static const struct {
    const char *bytes;
    size_t len;
    int32_t code;
  } cases[] = {
      {"", 0, OME_E_INVALID},
      {"{}", 2, OME_E_INVALID},
      {"k8s\0", 4, OME_E_UNSUPPORTED},
      {"k8s\0\x0a\x7f", 6, OME_E_INVALID},
      {"k8s\0\x0a\x05\x0a\x03\xff\xfe\xfd", 11, OME_E_INVALID},
      {"k8s\0\x0a\x0a\x0a\x02v1\x12\x04Nope", 16, OME_E_UNSUPPORTED},
      {"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x0a\x05", 19, OME_E_INVALID},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *o = NULL;
    struct ome_err err = ERR_INIT;
    int32_t rc = kube_pb_decode(cases[i].bytes, cases[i].len, &o, &err);
    if (rc != cases[i].code || o)
      fail_msg("case %zu: %d %s", i, rc, err.msg);
  }
}

/* Names must be in order: they are searched. */
static void test_table(void **state) {
  (void)state;
  for (size_t i = 1; i < kube_pb_nmessages; i++)
    assert_true(strcmp(kube_pb_messages[i - 1].name, kube_pb_messages[i].name) < 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_objects),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_table),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
