/* The `oci` plugin's decisions: addresses, the configuration file, tokens, signing strings, lists. */
#include "../unit.h"

#include "../../../plugins/common/encode.h"
#include "../../../plugins/common/rsa.h"
#include "../../../plugins/storage/oci_config.h"
#include "../../../plugins/storage/oci_list.h"
#include "../../../plugins/storage/oci_sign.h"
#include "../../../plugins/storage/oci_uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state) {
  static const struct {
    const char *uri, *ns, *region, *bucket, *prefix; /* NS is NULL: refused */
  } cases[] = {
      {"oci://n/axk/b/models/o/llama/70b", "axk", "", "models", "llama/70b"},
      {"oci://n/axk/b/models/o/llama/70b/", "axk", "", "models", "llama/70b"},
      {"oci://n/axk/b/models/o", "axk", "", "models", ""},
      {"oci://n/axk/b/models/o/", "axk", "", "models", ""},
      {"oci://axk@us-chicago-1/models/llama", "axk", "us-chicago-1", "models", "llama"},
      {"oci://axk@us-chicago-1/models", "axk", "us-chicago-1", "models", ""},
      {"oci://models/llama/8b", "", "", "models", "llama/8b"},
      {"oci://models/llama@v2", "", "", "models", "llama@v2"},
      {"oci://models", "", "", "models", ""},
      {"oci://n/axk/b/models/x/p", NULL, "", "", ""},
      {"oci://n/axk/b/models", NULL, "", "", ""},
      {"oci://n//b/models/o/p", NULL, "", "", ""},
      {"oci://n/axk/c/models/o/p", NULL, "", "", ""},
      {"oci://axk@/models/p", NULL, "", "", ""},
      {"oci://@us-chicago-1/models/p", NULL, "", "", ""},
      {"oci://axk@us.evil.com/models/p", NULL, "", "", ""},
      {"oci://axk@us-chicago-1/", NULL, "", "", ""},
      {"oci://bu cket/p", NULL, "", "", ""},
      {"oci://bucket/p\nq", NULL, "", "", ""},
      {"oci://", NULL, "", "", ""},
      {"s3://bucket/p", NULL, "", "", ""},
  };
  struct oci_uri u;

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    int rc = oci_uri_parse(cases[i].uri, &u);
    if ((rc == 0) != (cases[i].ns != NULL))
      fail_msg("%s: %d", cases[i].uri, rc);
    if (rc != 0)
      continue;
    assert_string_equal(u.ns, cases[i].ns);
    assert_string_equal(u.region, cases[i].region);
    assert_string_equal(u.bucket, cases[i].bucket);
    assert_string_equal(u.prefix, cases[i].prefix);
  }
  assert_int_equal(oci_uri_parse(NULL, &u), -1);
}

static void test_regions(void **state) {
  (void)state;
  assert_string_equal(oci_region_of("iad"), "us-ashburn-1");
  assert_string_equal(oci_region_of("us-ashburn-1"), "us-ashburn-1");
  assert_string_equal(oci_domain_of("us-ashburn-1", NULL), "oraclecloud.com");
  assert_string_equal(oci_domain_of("uk-gov-london-1", NULL), "oraclegovcloud.uk");
  assert_string_equal(oci_domain_of("mars-1", "oraclecloud99.com"), "oraclecloud99.com");
  assert_false(oci_region_is_name("us.ashburn"));
  assert_false(oci_region_is_name(""));
  assert_false(oci_region_is_name("-x"));
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static int read_config(const char *text, const char *profile, struct oci_profile *p) {
  return oci_config_read(text, strlen(text), profile, p);
}

static void test_config(void **state) {
  static const char text[] =
      "# comment\r\n[DEFAULT]\r\nuser = ocid1.user\r\ntenancy=ocid1.ten\r\nregion=us-phoenix-1\r\n"
      "key_file=~/k.pem\r\nunknown=1\r\n\r\n; more\n[ OTHER ]\nuser=ocid1.other\npass_phrase=a=b c\n";
  struct oci_profile p;
  char longer[600];

  (void)state;
  assert_int_equal(read_config(text, "DEFAULT", &p), 0);
  assert_string_equal(p.user, "ocid1.user");
  assert_string_equal(p.key_file, "~/k.pem");
  assert_string_equal(p.pass_phrase, "");
  assert_int_equal(read_config(text, "OTHER", &p), 0);
  assert_string_equal(p.user, "ocid1.other");
  assert_string_equal(p.tenancy, "ocid1.ten");
  assert_string_equal(p.pass_phrase, "a=b c");
  assert_int_equal(read_config(text, "ABSENT", &p), -1);
  assert_int_equal(read_config("[DEFAULT\nuser=a\n", "DEFAULT", &p), -2);
  assert_int_equal(read_config("[DEFAULT]\nno sign\n", "DEFAULT", &p), -2);
  assert_int_equal(read_config("", "DEFAULT", &p), -1);
  (void)snprintf(longer, sizeof(longer), "[DEFAULT]\nregion=%0500d\n", 1);
  assert_int_equal(read_config(longer, "DEFAULT", &p), -2);
}

static void test_tokens(void **state) {
  char hex[OCI_HEX_TEXT];
  int64_t exp = 0;

  (void)state;
  /* {"exp":1795430710}, {"exp":"1"}, [1] */
  assert_int_equal(oci_token_expiry("ST$a.eyJleHAiOjE3OTU0MzA3MTB9.c", &exp), 0);
  assert_true(exp == 1795430710);
  assert_int_equal(oci_token_expiry("a.eyJleHAiOiIxIn0.c", &exp), -1);
  assert_int_equal(oci_token_expiry("a.WzFd.c", &exp), -1);
  assert_int_equal(oci_token_expiry("a.eyJleHAiOjE3OTU0MzA3MTB9", &exp), -1);
  assert_int_equal(oci_token_expiry("", &exp), -1);
  assert_int_equal(base64_to_hex("1B2M2Y8AsgTpgAmY7PhCfg==", 16, hex, sizeof(hex)), 0);
  assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
  assert_int_equal(base64_to_hex("1B2M2Y8AsgTpgAmY7PhCfg==-2", 16, hex, sizeof(hex)), -1);
  assert_int_equal(base64_to_hex("", 16, hex, sizeof(hex)), -1);
  assert_int_equal(base64_to_hex("1B2M2Y8AsgTpgAmY7PhCfg==", 32, hex, sizeof(hex)), -1);
}

/* ---- signatures -------------------------------------------------------------------------------------------------- */

/* As Oracle's SDK for TypeScript 2.142.1 signs. */
static void test_signing_strings(void **state) {
  static const char body[] = "{\"object\":\"big/y.bin\"}";
  const struct oci_request get = {"GET", "http://127.0.0.1:39593/n/mynamespace/b/models/o/m%2Fa", NULL, 0, 0};
  const struct oci_request post = {"POST", "https://host:443/n/mynamespace/b/models/u", body, strlen(body), 0};
  const struct oci_request federation = {"POST", "https://auth.us-ashburn-1.oraclecloud.com/v1/x509", "{}", 2, 1};
  char text[1000], date[OCI_DATE_TEXT];

  (void)state;
  oci_date(1795430707, date);
  assert_string_equal(date, "Mon, 23 Nov 2026 10:45:07 GMT");
  assert_int_equal(oci_signing_string(&get, date, "", text, sizeof(text)), 0);
  assert_string_equal(text, "x-date: Mon, 23 Nov 2026 10:45:07 GMT\n"
                            "(request-target): get /n/mynamespace/b/models/o/m%2Fa\nhost: 127.0.0.1:39593");
  assert_int_equal(oci_signing_string(&post, date, "8PLZBGx6w74wHe9gQi8PBVTfPQWUZiNnwU5+U4yFEHQ=", text, sizeof(text)),
                   0);
  assert_string_equal(text, "x-date: Mon, 23 Nov 2026 10:45:07 GMT\n"
                            "(request-target): post /n/mynamespace/b/models/u\nhost: host\n"
                            "content-type: application/json\ncontent-length: 22\n"
                            "x-content-sha256: 8PLZBGx6w74wHe9gQi8PBVTfPQWUZiNnwU5+U4yFEHQ=");
  assert_int_equal(oci_signing_string(&federation, date, "x", text, sizeof(text)), 0);
  assert_memory_equal(text, "date: Mon", 9);
  assert_int_equal(oci_signing_string(&get, date, "", text, 50), -1);
}

static int verifies(EVP_PKEY *key, const char *text, const char *authorization) {
  unsigned char raw[600];
  const char *base64 = strstr(authorization, "signature=\"");
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int n = base64 ? base64_read(base64 + 11, strcspn(base64 + 11, "\""), raw, sizeof(raw)) : -1;
  int ok = n > 0 && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
           EVP_DigestVerify(ctx, raw, (size_t)n, (const unsigned char *)text, strlen(text)) == 1;

  EVP_MD_CTX_free(ctx);
  return ok;
}

static void test_signatures(void **state) {
  static const char body[] = "{\"object\":\"big/y.bin\"}";
  const struct oci_request post = {"POST", "http://h/n/ns/b/models/u", body, strlen(body), 0};
  struct oci_signed *s = malloc(sizeof(*s));
  EVP_PKEY *key = oci_key_new();
  char text[1000], fingerprint[48];

  (void)state;
  assert_non_null(s);
  assert_non_null(key);
  assert_int_equal(oci_key_fingerprint(key, fingerprint), 0);
  assert_int_equal(strlen(fingerprint), 47);
  assert_int_equal(oci_sign(&post, "ten/user/fp", key, 1795430707, s), 0);
  assert_int_equal(s->n, 4);
  assert_string_equal(s->sha256, "8PLZBGx6w74wHe9gQi8PBVTfPQWUZiNnwU5+U4yFEHQ="); /* as recorded */
  assert_non_null(strstr(s->authorization, "keyId=\"ten/user/fp\",algorithm=\"rsa-sha256\",headers=\"x-date "
                                           "(request-target) host content-type content-length x-content-sha256\""));
  assert_int_equal(oci_signing_string(&post, s->date, s->sha256, text, sizeof(text)), 0);
  assert_true(verifies(key, text, s->authorization));
  text[0] = 'X';
  assert_false(verifies(key, text, s->authorization));
  assert_null(rsa_key_read("-----BEGIN nothing", 18, NULL));
  EVP_PKEY_free(key);
  free(s);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static int32_t on_object(void *arg, const struct oci_object *o) {
  char *seen = arg;

  (void)snprintf(seen + strlen(seen), 500 - strlen(seen), "%s %llu %s %s %d;", o->name, (unsigned long long)o->size,
                 o->md5, o->etag, o->is_archived);
  return strcmp(o->name, "stop") == 0 ? OME_E_CANCELLED : OME_OK;
}

static int32_t read_page(const char *text, char seen[500], char next[OCI_NAME_TEXT], struct ome_err *err) {
  seen[0] = '\0';
  return oci_page_read(text, strlen(text), "ns/bucket", on_object, seen, next, err);
}

static void test_pages(void **state) {
  char seen[500], next[OCI_NAME_TEXT], why[100], code[64], word[20];
  struct ome_err err = {0};

  (void)state;
  assert_int_equal(
      read_page("{\"objects\":[{\"name\":\"a\",\"size\":0,\"md5\":\"1B2M2Y8AsgTpgAmY7PhCfg==\",\"etag\":\"e\"},"
                "{\"name\":\"b\",\"size\":5,\"md5\":\"x-2\",\"archivalState\":\"ARCHIVED\"}],"
                "\"nextStartWith\":\"c\"}",
                seen, next, &err),
      OME_OK);
  assert_string_equal(seen, "a 0 d41d8cd98f00b204e9800998ecf8427e e 0;b 5   1;");
  assert_string_equal(next, "c");
  assert_int_equal(read_page("{\"objects\":[]}", seen, next, &err), OME_OK);
  assert_string_equal(next, "");
  assert_int_equal(read_page("{\"objects\":[{\"name\":\"stop\",\"size\":1}]}", seen, next, &err), OME_E_CANCELLED);
  assert_int_equal(read_page("{\"objects\":[{\"name\":\"a\"}]}", seen, next, &err), OME_E_UNAVAILABLE);
  assert_int_equal(read_page("{\"objects\":[{\"name\":\"a\",\"size\":-1}]}", seen, next, &err), OME_E_UNAVAILABLE);
  assert_int_equal(read_page("{\"objects\":[7]}", seen, next, &err), OME_E_UNAVAILABLE);
  assert_int_equal(read_page("[]", seen, next, &err), OME_E_UNAVAILABLE);
  assert_int_equal(read_page("<html>", seen, next, &err), OME_E_UNAVAILABLE);
  oci_error_read("{\"code\":\"C\",\"message\":\"m\\nn\"}", 29, why, sizeof(why), code);
  assert_string_equal(why, "C: m n");
  oci_error_read(NULL, 0, why, sizeof(why), code);
  assert_string_equal(why, "");
  assert_int_equal(oci_word_read("\"ns\"", 4, NULL, word, sizeof(word)), 0);
  assert_string_equal(word, "ns");
  assert_int_equal(oci_word_read("\"n/s\"", 5, NULL, word, sizeof(word)), -1);
  assert_int_equal(oci_word_read("{\"uploadId\":\"u-1\"}", 18, "uploadId", word, sizeof(word)), 0);
  assert_int_equal(oci_word_read("[1]", 3, "uploadId", word, sizeof(word)), -1);
}

static void test_commit(void **state) {
  char one[] = "p1", two[] = "p\"2";
  char *const etags[] = {one, two};
  char *body = oci_commit_body(etags, 2);

  (void)state;
  assert_string_equal(body,
                      "{\"partsToCommit\":[{\"partNum\":1,\"etag\":\"p1\"},{\"partNum\":2,\"etag\":\"p\\\"2\"}]}");
  free(body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_addresses), cmocka_unit_test(test_regions),         cmocka_unit_test(test_config),
      cmocka_unit_test(test_tokens),    cmocka_unit_test(test_signing_strings), cmocka_unit_test(test_signatures),
      cmocka_unit_test(test_pages),     cmocka_unit_test(test_commit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
