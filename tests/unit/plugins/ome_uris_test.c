/* The addresses that OME's own grammar has (pkg/utils/storage of v0.1.5), its odd ones too: what each of our plugins
 * takes them for.  Where OME's own reading is a defect, the row says so. */
#include "../unit.h"

#include "../../../plugins/storage/azure_uri.h"
#include "../../../plugins/storage/gcs_uri.h"
#include "../../../plugins/storage/hf_uri.h"
#include "../../../plugins/storage/local_place.h"
#include "../../../plugins/storage/oci_uri.h"
#include "../../../plugins/storage/s3_uri.h"
#include "../../../plugins/storage/vendor_uri.h"

#include <stdio.h>

#define READING 9000

static int read_hf(const char *uri, char *out) {
  struct hf_uri u;
  int rc = hf_uri_parse(uri, &u);

  (void)snprintf(out, READING, "%s|%s|%s", u.repo, u.revision, u.path);
  return rc;
}

static int read_oci(const char *uri, char *out) {
  struct oci_uri u;
  int rc = oci_uri_parse(uri, &u);

  (void)snprintf(out, READING, "%s|%s|%s|%s", u.ns, u.region, u.bucket, u.prefix);
  return rc;
}

static int read_s3(const char *uri, char *out) {
  struct s3_uri u;
  int rc = s3_uri_parse(uri, &u);

  (void)snprintf(out, READING, "%s|%s|%s", u.bucket, u.region, u.key);
  return rc;
}

static int read_gcs(const char *uri, char *out) {
  struct gcs_uri u;
  int rc = gcs_uri_parse(uri, &u);

  (void)snprintf(out, READING, "%s|%s", u.bucket, u.name);
  return rc;
}

static int read_azure(const char *uri, char *out) {
  struct azure_uri u;
  int rc = azure_uri_parse(uri, &u);

  (void)snprintf(out, READING, "%s|%s|%s", u.account, u.container, u.name);
  return rc;
}

static int read_local(const char *uri, char *out) {
  struct local_place p;
  struct ome_err err;
  int rc = local_place_of("/claims", uri, &p, &err) == OME_OK ? 0 : -1;

  (void)snprintf(out, READING, "%s|%s", p.base, p.path);
  return rc;
}

static int read_vendor(const char *uri, char *out) {
  (void)snprintf(out, READING, "%s", vendor_uri_is(uri) ? uri + 9 : "");
  return vendor_uri_is(uri) ? 0 : -1;
}

static void ome_reads(void **state) {
  static const struct {
    int (*read)(const char *uri, char *out);
    const char *uri, *reading; /* NULL: refused */
  } rows[] = {
      {read_hf, "hf://meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct|main|"},
      {read_hf, "hf://org/m@refs/pr/3", "org/m|refs/pr/3|"},
      {read_hf, "hf://org/m@", "org/m|main|"},
      {read_hf, "hf://gpt2", "gpt2|main|"}, /* an id of one part */
      {read_hf, "hf://org/m@a@b", "org/m|a@b|"},
      {read_hf, "hf://", NULL},
      {read_hf, "hf://@main", NULL},
      {read_oci, "oci://n/axk/b/models/o/llama/70b", "axk||models|llama/70b"},
      {read_oci, "oci://n/axk/b/models/o/llama/70b/", "axk||models|llama/70b"},
      {read_oci, "oci://n/axk/b/models/o", "axk||models|"},
      {read_oci, "oci://n/axk/b/models/o/", "axk||models|"},
      {read_oci, "oci://axk@us-chicago-1/models/llama", "axk|us-chicago-1|models|llama"},
      {read_oci, "oci://axk@us-chicago-1/models", "axk|us-chicago-1|models|"},
      {read_oci, "oci://models/llama", "||models|llama"},
      {read_oci, "oci://models/a@b", "||models|a@b"}, /* to OME any '@' names a region */
      {read_oci, "oci://n/axk/b/models", NULL},
      {read_oci, "oci://n/axk/x/models/o/p", NULL},
      {read_oci, "oci://axk@us-chicago-1/", NULL},
      {read_oci, "oci://", NULL},
      {read_s3, "s3://bkt@us-west-2/a/b", "bkt|us-west-2|a/b"},
      {read_s3, "s3://bkt/a/b", "bkt||a/b"},
      {read_s3, "s3://bkt", "bkt||"},
      {read_s3, "s3://bkt@us-west-2", "bkt|us-west-2|"},
      {read_s3, "s3://bkt/a@b", "bkt||a@b"}, /* to OME any '@' names a region */
      {read_s3, "s3:///a", NULL},
      {read_gcs, "gs://bkt/a/b", "bkt|a/b"},
      {read_gcs, "gs://bkt", "bkt|"},
      {read_gcs, "gs:///a", NULL},
      {read_azure, "az://acct/cont/m/v1", "acct|cont|m/v1"},
      {read_azure, "az://acct.blob.core.windows.net/cont/m/v1", "acct|cont|m/v1"},
      {read_azure, "az://acct/cont", "acct|cont|"},
      {read_azure, "az://acct.blob.core.windows.net/cont", "acct|cont|"},
      {read_azure, "az://acct", NULL},
      {read_local, "local:///mnt/data/m", "/|mnt/data/m"},
      {read_local, "local://models/m", ".|models/m"},
      {read_local, "local://", NULL},
      {read_local, "pvc://models:llama-pvc/weights/v1", "/claims/models/llama-pvc|weights/v1"},
      {read_local, "pvc://llama-pvc/weights", "/claims/llama-pvc|weights"},
      {read_local, "pvc://a:b:c/x", NULL},
      {read_local, "pvc://pvc", NULL},
      {read_local, "pvc://pvc/", NULL},
      {read_local, "pvc:///x", NULL},
      {read_local, "pvc://-a:pvc/x", NULL},
      {read_local, "pvc://Ns:pvc/x", NULL},
      {read_vendor, "vendor://openai/models/gpt-4", "openai/models/gpt-4"},
      {read_vendor, "vendor://openai/models/gpt/4/", "openai/models/gpt/4/"},
      {read_vendor, "vendor://openai/models/", NULL},
      {read_vendor, "vendor://openai//gpt-4", NULL},
      {read_vendor, "vendor:///models/gpt-4", NULL},
      {read_vendor, "vendor://openai/models", NULL},
      {read_vendor, "vendor://", NULL},
  };
  char reading[READING];

  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    int rc = rows[i].read(rows[i].uri, reading);
    if ((rc == 0) != (rows[i].reading != NULL))
      fail_msg("%s: %s", rows[i].uri, rc == 0 ? "is taken" : "is refused");
    if (rows[i].reading)
      assert_string_equal(reading, rows[i].reading);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ome_reads)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
