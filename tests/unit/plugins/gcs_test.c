/* The `gcs` plugin's decisions: addresses, lists, credentials, tokens. */
#include "../unit.h"

#include "../../../plugins/common/encode.h"
#include "../../../plugins/common/http.h"
#include "../../../plugins/common/json.h"
#include "../../../plugins/common/oauth.h"
#include "../../../plugins/common/rsa.h"
#include "../../../plugins/storage/gcs_answer.h"
#include "../../../plugins/storage/gcs_aws.h"
#include "../../../plugins/storage/gcs_external.h"
#include "../../../plugins/storage/gcs_key.h"
#include "../../../plugins/storage/gcs_uri.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void uris(void **state) {
  static const char *const wrong[] = {"",           "gs://",           "gs://ab/x", "gs:///x",      "gs://UPPER/x",
                                      "gs://-ab/x", "gs://abc/\x01/x", "s3://abc",  "gs://a b c/x", "gs://abc/x\x7f"};
  struct gcs_uri u;

  (void)state;
  assert_int_equal(gcs_uri_parse("gs://my_bucket.example.com/a b/c", &u), 0);
  assert_string_equal(u.bucket, "my_bucket.example.com");
  assert_string_equal(u.name, "a b/c");
  assert_string_equal(u.generation, "");
  assert_false(u.is_folder);
  assert_int_equal(gcs_uri_parse("gs://abc/x#1//", &u), 0); /* no generation: something follows */
  assert_string_equal(u.name, "x#1");
  assert_true(u.is_folder);
  assert_int_equal(gcs_uri_parse("gs://abc/x#y#17", &u), 0);
  assert_string_equal(u.name, "x#y");
  assert_string_equal(u.generation, "17");
  assert_int_equal(gcs_uri_parse("gs://abc/x#", &u), 0);
  assert_string_equal(u.name, "x#");
  assert_int_equal(gcs_uri_parse("gs://abc", &u), 0);
  assert_string_equal(u.name, "");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(gcs_uri_parse(wrong[i], &u), -1);
}

static void endpoints(void **state) {
  static const char *const wrong[] = {"", "http://", "https:///x", "http://h/path", "h?x", "http://u@h", ":80", "a b"};
  char out[64];

  (void)state;
  assert_int_equal(gcs_endpoint_parse("localhost:4443", out, sizeof(out)), 0);
  assert_string_equal(out, "http://localhost:4443");
  assert_int_equal(gcs_endpoint_parse("https://storage.example.com//", out, sizeof(out)), 0);
  assert_string_equal(out, "https://storage.example.com");
  assert_int_equal(gcs_endpoint_parse("http://h:1/storage/v1/", out, sizeof(out)), 0);
  assert_string_equal(out, "http://h:1");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(gcs_endpoint_parse(wrong[i], out, sizeof(out)), -1);
  assert_int_equal(gcs_endpoint_parse("localhost:4443", out, 12), -1);
}

static void object_addresses(void **state) {
  char out[128];

  (void)state;
  assert_int_equal(gcs_object_url("https://h", 0, "abc", "a b/\xc3\xa9#1", "?alt=media", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/storage/v1/b/abc/o/a%20b%2F%C3%A9%231?alt=media");
  assert_int_equal(gcs_object_url("https://h", 1, "abc", "", "?uploadType=resumable", out, sizeof(out)), 0);
  assert_string_equal(out, "https://h/upload/storage/v1/b/abc/o?uploadType=resumable");
  assert_int_equal(gcs_object_url("https://h", 0, "abc", "a", "?x", out, 28), -1);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

struct seen {
  char text[600];
};

static int32_t on_object(void *arg, const struct gcs_object *o) {
  struct seen *s = arg;
  size_t n = strlen(s->text);

  (void)snprintf(s->text + n, sizeof(s->text) - n, "%s %llu %s %u:%s%s\n", o->name, (unsigned long long)o->size,
                 o->generation, o->digest_type, o->digest, o->is_compressed ? " gzip" : "");
  return OME_OK;
}

#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ITEM(name, more) "{\"name\":\"" name "\",\"size\":\"5\",\"generation\":\"7\"" more "}"

static void pages(void **state) {
  static const char page[] =
      "{\"kind\":\"storage#objects\",\"nextPageToken\":\"t/=\",\"items\":[" ITEM("a", ",\"md5Hash\":\"1B2M2Y8AsgTpgAmY7PhCfg==\",\"crc32c\":\"AAAAAA==\"") "," ITEM(
          "b",
          ",\"crc32c\":\"mnG7TA==\"") "," ITEM("c",
                                               ",\"metadata\":{\"ome-sha256\":\"" SHA256
                                               "\"},\"md5Hash\":\"x\"") "," ITEM("d",
                                                                                 ",\"contentEncoding\":\"gzip\"") "]}";
  static const char *const wrong[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"items\":[{}]}",
                                      "{\"items\":[1]}",
                                      "{\"items\":[{\"name\":\"a\",\"size\":\"-5\",\"generation\":\"7\"}]}",
                                      "{\"items\":[{\"name\":\"a\\u0000b\",\"size\":\"5\",\"generation\":\"7\"}]}",
                                      "{\"items\":[{\"name\":\"a\",\"size\":\"5\",\"generation\":\"7&alt=json\"}]}"};
  struct seen s = {""};
  struct ome_err err;
  char next[GCS_PAGE_TEXT];

  (void)state;
  assert_int_equal(gcs_page_read(page, strlen(page), "u", on_object, &s, next, &err), OME_OK);
  assert_string_equal(s.text, "a 5 7 3:d41d8cd98f00b204e9800998ecf8427e\nb 5 7 4:9a71bb4c\nc 5 7 1:" SHA256
                              "\nd 5 7 0: gzip\n");
  assert_string_equal(next, "t/=");
  assert_int_equal(gcs_page_read("{\"kind\":\"storage#objects\"}", 26, "u", on_object, &s, next, &err), OME_OK);
  assert_string_equal(next, "");
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(gcs_page_read(wrong[i], strlen(wrong[i]), "u", on_object, &s, next, &err), OME_E_UNAVAILABLE);
}

static void refusals(void **state) {
  static const char json[] = "{\"error\":{\"message\":\"No\\nway\",\"errors\":[{\"reason\":\"notFound\"}]}}";
  char why[64], reason[64];

  (void)state;
  gcs_error_read(json, strlen(json), why, sizeof(why), reason);
  assert_string_equal(why, "No way");
  assert_string_equal(reason, "notFound");
  gcs_error_read("No such object: b/o", 19, why, sizeof(why), reason);
  assert_string_equal(why, "No such object: b/o");
  assert_string_equal(reason, "");
  gcs_error_read("<html>", 6, why, sizeof(why), reason);
  assert_string_equal(why, "");
  gcs_error_read(NULL, 0, why, sizeof(why), reason);
  assert_non_null(strstr(gcs_advice(400, "userProjectMissing", 0), "user_project"));
  assert_non_null(strstr(gcs_advice(401, "required", 1), "no credentials"));
  assert_non_null(strstr(gcs_advice(403, "forbidden", 0), "storage.objects.get"));
  assert_null(gcs_advice(500, "", 0));
}

static void uploads(void **state) {
  char *body = gcs_insert_body("a/\"b\"", "1B2M2Y8AsgTpgAmY7PhCfg==", SHA256);

  (void)state;
  assert_string_equal(body, "{\"name\":\"a/\\\"b\\\"\",\"contentType\":\"application/octet-stream\",\"md5Hash\":"
                            "\"1B2M2Y8AsgTpgAmY7PhCfg==\",\"metadata\":{\"ome-sha256\":\"" SHA256 "\"}}");
  free(body);
  assert_int_equal(gcs_kept_of("bytes=0-524287"), 524288);
  assert_int_equal(gcs_kept_of("bytes=1-5"), 0);
  assert_int_equal(gcs_kept_of("bytes=0--1"), 0);
  assert_int_equal(gcs_kept_of(NULL), 0);
}

/* ---- credentials ------------------------------------------------------------------------------------------------- */

static const char user_json[] = "{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s&t\","
                                "\"refresh_token\":\"1//r\"}";

static void users(void **state) {
  struct gcs_key key;
  struct ome_err err;

  (void)state;
  assert_int_equal(gcs_key_read(user_json, strlen(user_json), 1, "w", &key, &err), OME_OK);
  assert_string_equal(key.token_uri, GCS_TOKEN_URI);
  char *form = gcs_token_form(&key, 1);
  assert_string_equal(form, "grant_type=refresh_token&client_id=c&client_secret=s%26t&refresh_token=1%2F%2Fr");
  free(form);
}

static void other_types(void **state) {
  static const char outside[] = "{\"type\":\"external_account\",\"token_url\":\"http://10.0.0.1/\"}";
  static const char elsewhere[] = "{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s\","
                                  "\"refresh_token\":\"r\",\"token_uri\":\"http://10.0.0.1/token\"}";
  struct gcs_key key;
  struct ome_err err;

  (void)state;
  assert_int_equal(gcs_key_read(outside, strlen(outside), 0, "w", &key, &err), OME_E_UNSUPPORTED);
  assert_non_null(strstr(err.msg, "external_account"));
  assert_int_equal(gcs_key_read(outside, strlen(outside), 1, "w", &key, &err), OME_E_DENIED);
  assert_non_null(strstr(err.msg, "of a model"));
  assert_int_equal(gcs_key_read("nothing", 7, 0, "w", &key, &err), OME_E_INVALID);
  assert_int_equal(gcs_key_read(elsewhere, strlen(elsewhere), 0, "w", &key, &err), OME_OK);
  assert_int_equal(gcs_key_read(elsewhere, strlen(elsewhere), 1, "w", &key, &err), OME_E_DENIED);
  assert_true(gcs_is_googles("https://oauth2.googleapis.com/token"));
  assert_false(gcs_is_googles("http://oauth2.googleapis.com/token"));
  assert_false(gcs_is_googles("https://.googleapis.com"));
  assert_false(gcs_is_googles("https://evil.com/.googleapis.com"));
  assert_false(gcs_is_googles("https://evil.com#.googleapis.com"));
  assert_false(gcs_is_googles("https://me@evil.com:1.googleapis.com"));
}

/* ---- workload identity federation -------------------------------------------------------------------------------- */

#define EXTERNAL(source)                                                                                               \
  "{\"type\":\"external_account\",\"audience\":\"//iam/x y\",\"subject_token_type\":\"urn:jwt\","                      \
  "\"token_url\":\"https://sts.googleapis.com/v1/token\",\"credential_source\":" source "}"

static int32_t read_external(const char *text, struct gcs_external *out, struct ome_err *err) {
  assert_true(gcs_is_external(text, strlen(text)));
  return gcs_external_read(text, strlen(text), "w", out, err);
}

static void federation(void **state) {
  static const char json[] = EXTERNAL("{\"url\":\"http://h/t\",\"headers\":{\"A\":\"b\"},\"format\":{\"type\":\"json\","
                                      "\"subject_token_field_name\":\"id\"}},\"workforce_pool_user_project\":\"p\"");
  static const char answer[] = "{\"id\":\" a.b&c \"}", theirs[] = "{\"accessToken\":\"ya29.x\",\"expireTime\":\"...\"}";
  struct gcs_external x;
  struct oauth_token token;
  struct ome_err err;
  char body[300];

  (void)state;
  assert_int_equal(read_external(json, &x, &err), OME_OK);
  assert_string_equal(x.headers[0].name, "A");
  char *subject = gcs_subject_token(&x, answer, strlen(answer)), *form = gcs_exchange_form(&x, subject);
  assert_string_equal(subject, "a.b&c");
  assert_string_equal(form,
                      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=//iam/x%20y"
                      "&scope=https%3A//www.googleapis.com/auth/devstorage.read_write"
                      "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
                      "&subject_token_type=urn%3Ajwt&subject_token=a.b%26c&options=%7B%22userProject%22%3A%22p%22%7D");
  free(subject);
  free(form);
  assert_null(gcs_subject_token(&x, "{}", 2));
  gcs_impersonation_body(&x, body, sizeof(body));
  assert_string_equal(body, "{\"delegates\":null,\"scope\":[\"" GCS_SCOPE "\"],\"lifetime\":\"3600s\"}");
  assert_int_equal(gcs_impersonation_read(&x, theirs, strlen(theirs), 1000, &token), 0);
  assert_string_equal(token.text, "ya29.x");
  assert_int_equal(token.expires_s, 4600);
  assert_int_equal(gcs_impersonation_read(&x, "{}", 2, 1000, &token), -1);
  assert_int_equal(read_external(EXTERNAL("{\"file\":\"/f\"}"), &x, &err), OME_OK);
  subject = gcs_subject_token(&x, "\n a.b \n", 7);
  assert_string_equal(subject, "a.b");
  free(subject);
  assert_null(gcs_subject_token(&x, " \n", 2));
}

static void federation_that_is_none(void **state) {
  static const struct {
    const char *json, *word;
    int32_t code;
  } rows[] = {
      {EXTERNAL("{\"certificate\":{}}"), "certificate_config_location", OME_E_INVALID},
      {EXTERNAL("{\"certificate\":{\"use_default_certificate_config\":true,\"certificate_config_location\":\"/c\"}}"),
       "or both", OME_E_INVALID},
      {EXTERNAL("{\"environment_id\":\"aws2\"}"), "aws2", OME_E_UNSUPPORTED},
      {EXTERNAL("{\"environment_id\":\"aws1\",\"regional_cred_verification_url\":\"ftp://h\"}"), "no http address",
       OME_E_INVALID},
      {EXTERNAL("{\"executable\":{}}"), "no command", OME_E_INVALID},
      {EXTERNAL("{\"executable\":{\"command\":\"x\",\"timeout_millis\":1000}}"), "timeout_millis", OME_E_INVALID},
      {EXTERNAL("{}"), "none of file", OME_E_INVALID},
      {EXTERNAL("{\"file\":\"/f\",\"url\":\"http://h\"}"), "several", OME_E_INVALID},
      {EXTERNAL("{\"file\":\"/f\",\"executable\":{\"command\":\"x\"}}"), "several", OME_E_INVALID},
      {EXTERNAL("{\"url\":\"ftp://h\"}"), "no http address", OME_E_INVALID},
      {EXTERNAL("{\"file\":\"/f\",\"format\":{\"type\":\"json\"}}"), "subject_token_field_name", OME_E_INVALID},
      {EXTERNAL("{\"file\":\"/f\",\"format\":{\"type\":\"xml\"}}"), "xml", OME_E_INVALID},
      {EXTERNAL("{\"url\":\"http://h\",\"headers\":{\"A\":\"b\\r\\nC: d\"}}"), "header A", OME_E_INVALID},
      {EXTERNAL("{\"file\":\"/f\"},\"service_account_impersonation\":{\"token_lifetime_seconds\":5}"), "lifetime",
       OME_E_INVALID},
      {"{\"type\":\"external_account\",\"token_url\":\"https://h\"}", "audience", OME_E_INVALID},
  };
  struct gcs_external x;
  struct ome_err err;

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    assert_int_equal(read_external(rows[i].json, &x, &err), rows[i].code);
    assert_non_null(strstr(err.msg, rows[i].word));
  }
}

static void programs(void **state) {
#define GOOD "\"version\":1,\"success\":true,\"token_type\":\"urn:ietf:params:oauth:token-type:"
  static const struct {
    const char *text;
    int kept;
    const char *token, *word; /* one of them */
  } rows[] = {
      {"{" GOOD "id_token\",\"id_token\":\"a.b\"}", 0, "a.b", NULL},
      {"{" GOOD "jwt\",\"id_token\":\"a.b\",\"expiration_time\":1001}", 1, "a.b", NULL},
      {"{" GOOD "saml2\",\"saml_response\":\"PHM+\"}", 0, "PHM+", NULL},
      {"{" GOOD "id_token\",\"id_token\":\"a.b\"}", 1, NULL, "expired"},
      {"{" GOOD "id_token\",\"id_token\":\"a.b\",\"expiration_time\":1000}", 0, NULL, "expired"},
      {"{" GOOD "id_token\"}", 0, NULL, "no id_token"},
      {"{" GOOD "saml2\",\"id_token\":\"a.b\"}", 0, NULL, "no saml_response"},
      {"{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"go away\"}", 0, NULL, "401: go away"},
      {"{\"version\":2,\"success\":true}", 0, NULL, "\"version\": 1"},
      {"{\"version\":1}", 0, NULL, "\"success\""},
      {"", 0, NULL, "no JSON"},
  };
#undef GOOD
  static const char json[] = EXTERNAL("{\"executable\":{\"command\":\"/bin/x --y\",\"output_file\":\"/o\"}},"
                                      "\"service_account_impersonation_url\":"
                                      "\"https://h/v1/projects/-/serviceAccounts/a@b.c:generateAccessToken\"");
  struct gcs_external x;
  struct ome_err err;
  char email[64], *out;

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    int32_t rc = gcs_program_token(rows[i].text, strlen(rows[i].text), rows[i].kept, 1000, "w", &out, &err);
    assert_int_equal(rc, rows[i].token ? OME_OK : OME_E_DENIED);
    if (rows[i].token)
      assert_string_equal(out, rows[i].token);
    else
      assert_non_null(strstr(err.msg, rows[i].word));
    free(out);
  }
  assert_int_equal(read_external(json, &x, &err), OME_OK);
  assert_int_equal(x.source, GCS_SOURCE_PROGRAM);
  assert_string_equal(x.command, "/bin/x --y");
  assert_string_equal(x.output_file, "/o");
  assert_int_equal(x.timeout_s, 30);
  gcs_impersonated(&x, email, sizeof(email));
  assert_string_equal(email, "a@b.c");
}

/* The signatures are those of Google's own client. */
static void identities_of_aws(void **state) {
  static const struct {
    const char *session, *signature;
  } rows[] = {{"", "9f08c61cce9308e89629f5cea8076906d543f51d37f30a8133da6a7e0f6a66df"},
              {"tok/en==", "1c12bd4cd441f26d2c2727b887faa671a4b93cda3df4e914760b9114b83566a3"}};
  static const char *const wrong[] = {"http://sts.{region}.amazonaws.com?A=b",
                                      "https://sts.x.com/path?A=b",
                                      "https://evil.com?A=b",
                                      "https://sts.x.com",
                                      "https://sts@evil.com?A=b",
                                      "https://sts.{zone}.com?A=b"};
  struct gcs_aws_identity who = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", "us-east-2"};
  struct gcs_external x;
  struct ome_err err;

  (void)state;
  assert_int_equal(
      read_external(EXTERNAL("{\"environment_id\":\"aws1\",\"url\":\"http://169.254.169.254/x\"}"), &x, &err), OME_OK);
  assert_int_equal(x.source, GCS_SOURCE_AWS);
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    who.session_token = rows[i].session;
    char *out = gcs_aws_subject(&who, x.verify_url, "//iam.googleapis.com/projects/1/x", 1767323045);
    assert_non_null(out);
    assert_int_equal(strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"), strlen(out));
    assert_int_equal(uri_decode(out, 0), 0);
    struct json_object *o = json_read(out, strlen(out)), *headers = json_array_at(o, "headers");
    assert_string_equal(json_text_at(o, "url"),
                        "https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
    assert_int_equal(json_object_array_length(headers), *who.session_token ? 5 : 4);
    assert_non_null(strstr(json_text_at(json_object_array_get_idx(headers, 0), "value"), rows[i].signature));
    (void)json_object_put(o);
    free(out);
  }
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_null(gcs_aws_subject(&who, wrong[i], "//iam", 1767323045));
  who.region = "{region}";
  assert_null(gcs_aws_subject(&who, x.verify_url, "//iam", 1767323045));
}

#define PEM(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

static void certificates(void **state) {
  static const struct {
    const char *pem, *chain, *subject; /* NULL: none */
  } rows[] = {
      {PEM("YWJj"), NULL, "[\"YWJj\"]"},
      {KEY PEM("YWJj") PEM("ZGVm"), NULL, "[\"YWJj\"]"},
      {PEM("YWJj"), PEM("ZGVm") PEM("Z2hp"), "[\"YWJj\",\"ZGVm\",\"Z2hp\"]"},
      {PEM("YWJj"), PEM("YWJj") PEM("ZGVm"), "[\"YWJj\",\"ZGVm\"]"},
      {PEM("YWJj"), PEM("ZGVm") PEM("YWJj"), NULL},
      {PEM("YWJj"), "", "[\"YWJj\"]"},
      {KEY, NULL, NULL},
      {"", NULL, NULL},
  };
  static const char both[] = "{\"cert_configs\":{\"workload\":{\"cert_path\":\"/c\",\"key_path\":\"/k\"}}}",
                    one[] = "{\"cert_configs\":{\"workload\":{\"cert_path\":\"/c\"}}}";
  char cert[GCS_PATH_TEXT], key[GCS_PATH_TEXT];
  struct gcs_external x;
  struct ome_err err;

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char *subject = gcs_certificate_subject(rows[i].pem, rows[i].chain);
    if (rows[i].subject)
      assert_string_equal(subject, rows[i].subject);
    else
      assert_null(subject);
    free(subject);
  }
  assert_int_equal(gcs_certificate_files(both, sizeof(both) - 1, cert, key), 0);
  assert_string_equal(cert, "/c");
  assert_string_equal(key, "/k");
  assert_int_equal(gcs_certificate_files(one, sizeof(one) - 1, cert, key), -1);
  assert_int_equal(gcs_certificate_files("", 0, cert, key), -1);
  assert_int_equal(read_external(EXTERNAL("{\"certificate\":{\"use_default_certificate_config\":true}}"), &x, &err),
                   OME_OK);
  assert_int_equal(x.source, GCS_SOURCE_CERTIFICATE);
}

/* The JSON of a service account whose key is RSA; the caller's to free. */
static char *account_of(EVP_PKEY *rsa) {
  struct json_object *o = json_object_new_object();
  BIO *bio = BIO_new(BIO_s_mem());
  char *pem = NULL, *out;

  assert_int_equal(PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL), 1);
  long n = BIO_get_mem_data(bio, &pem);
  (void)json_object_object_add(o, "type", json_object_new_string("service_account"));
  (void)json_object_object_add(o, "client_email", json_object_new_string("me@p.iam.gserviceaccount.com"));
  (void)json_object_object_add(o, "private_key_id", json_object_new_string("k1"));
  (void)json_object_object_add(o, "private_key", json_object_new_string_len(pem, (int)n));
  out = strdup(json_object_to_json_string(o));
  (void)json_object_put(o);
  (void)BIO_free(bio);
  return out;
}

static int verifies(EVP_PKEY *rsa, const char *assertion) {
  const char *dot = strrchr(assertion, '.');
  unsigned char raw[RSA_MAX_SIGNATURE];
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int n = base64_read(dot + 1, strlen(dot + 1), raw, sizeof(raw));
  int ok = n > 0 && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, rsa) == 1 &&
           EVP_DigestVerify(ctx, raw, (size_t)n, (const unsigned char *)assertion, (size_t)(dot - assertion)) == 1;

  EVP_MD_CTX_free(ctx);
  return ok;
}

static void assertions(void **state) {
  /* {"alg":"RS256","typ":"JWT","kid":"k1"} */
  static const char header[] = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.";
  EVP_PKEY *rsa = EVP_RSA_gen(2048);
  char *json = account_of(rsa);
  struct gcs_key key;
  struct ome_err err;

  (void)state;
  assert_int_equal(gcs_key_read(json, strlen(json), 1, "w", &key, &err), OME_OK);
  char *claims = gcs_claims(&key, 1795427953);
  assert_string_equal(claims, "{\"iss\":\"me@p.iam.gserviceaccount.com\",\"scope\":\"" GCS_SCOPE
                              "\",\"aud\":\"" GCS_TOKEN_URI "\",\"iat\":1795427953,\"exp\":1795431553}");
  char *assertion = gcs_assertion(&key, 1795427953);
  assert_memory_equal(assertion, header, strlen(header));
  assert_true(verifies(rsa, assertion));
  assertion[60] ^= 1;
  assert_false(verifies(rsa, assertion));
  memcpy(key.private_key, "-----BEGIN nothing", 19);
  assert_null(gcs_token_form(&key, 1));
  free(assertion);
  free(claims);
  free(json);
  EVP_PKEY_free(rsa);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void token_answers(void **state) {
  static const char good[] = "{\"access_token\":\"ya29.x\",\"expires_in\":3599}";
  static const char text[] = "{\"access_token\":\"ya29.x\",\"expires_in\":\"90\"}";
  static const char *const wrong[] = {"", "{}", "{\"access_token\":\"\"}", "{\"access_token\":\"a\\r\\nb\"}",
                                      "{\"access_token\":5}"};
  static const char refused[] = "{\"error\":\"e\",\"error_description\":\"d\\n\"}";
  struct oauth_token *t = calloc(1, sizeof(*t));
  char why[64];

  (void)state;
  assert_int_equal(oauth_token_read(good, strlen(good), 1000, t), 0);
  assert_string_equal(t->text, "ya29.x");
  assert_int_equal(t->expires_s, 4599);
  assert_int_equal(oauth_life_ms(t, 1000), 3299000);
  assert_int_equal(oauth_life_ms(t, 5000), 500);
  assert_int_equal(oauth_token_read(text, strlen(text), 1000, t), 0);
  assert_int_equal(t->expires_s, 1090);
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
    assert_int_equal(oauth_token_read(wrong[i], strlen(wrong[i]), 0, t), -1);
  oauth_error_read(refused, strlen(refused), why, sizeof(why));
  assert_string_equal(why, "e: d ");
  free(t);
}

static int32_t fetch(void *arg, struct oauth_token *out, struct ome_err *err) {
  int *calls = arg;

  (void)err;
  (void)snprintf(out->text, sizeof(out->text), "token-%d", ++*calls);
  out->expires_s = *calls == 2 ? 1 : INT64_MAX / 2;
  return *calls == 4 ? OME_E_DENIED : OME_OK;
}

static void kept_tokens(void **state) {
  struct oauth_cache *c = malloc(sizeof(*c));
  struct oauth_token *t = malloc(sizeof(*t));
  struct ome_err err;
  int calls = 0;

  (void)state;
  oauth_cache_init(c);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(oauth_cache_get(c, "one", fetch, &calls, t, &err), OME_OK);
    assert_string_equal(t->text, "token-1");
  }
  assert_int_equal(oauth_cache_get(c, "two", fetch, &calls, t, &err), OME_OK); /* it has run out already */
  assert_int_equal(oauth_cache_get(c, "two", fetch, &calls, t, &err), OME_OK);
  assert_string_equal(t->text, "token-3");
  assert_int_equal(oauth_cache_get(c, "three", fetch, &calls, t, &err), OME_E_DENIED);
  assert_int_equal(oauth_cache_get(c, "three", fetch, &calls, t, &err), OME_OK); /* a failure is not kept */
  assert_string_equal(t->text, "token-5");
  oauth_cache_fini(c);
  free(t);
  free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(uris),
                                     cmocka_unit_test(endpoints),
                                     cmocka_unit_test(object_addresses),
                                     cmocka_unit_test(pages),
                                     cmocka_unit_test(refusals),
                                     cmocka_unit_test(uploads),
                                     cmocka_unit_test(users),
                                     cmocka_unit_test(other_types),
                                     cmocka_unit_test(federation),
                                     cmocka_unit_test(federation_that_is_none),
                                     cmocka_unit_test(programs),
                                     cmocka_unit_test(identities_of_aws),
                                     cmocka_unit_test(certificates),
                                     cmocka_unit_test(assertions),
                                     cmocka_unit_test(token_answers),
                                     cmocka_unit_test(kept_tokens)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
