/* What a model can do, in OME's vocabulary. */
#include "model/internal.h"

#include "base/str.h"

#include <string.h>

static bool has_word(const char *text, const char *word) {
  return strcasestr(text, word) != NULL;
}

/* OME's rules for what a model can do, as far as the families here go: the first that applies. */
void facts_capabilities(struct model_facts *f) {
  static const char *const speech[] = {"whisper", "wav2vec2", "hubert", "forctc", "forspeechtotext"};
  const char *capability = "TEXT_TO_TEXT";

  if (has_word(f->architecture, "embedding") || has_word(f->architecture, "sentence") || has_word(f->type, "bert") ||
      has_word(f->architecture, "mistralmodel"))
    f->embedding = true;
  if (f->embedding)
    capability = "EMBEDDING";
  for (size_t i = 0; i < ARRAY_LEN(speech); i++)
    if (has_word(f->architecture, speech[i]))
      capability = "AUDIO_TO_TEXT";
  if (f->vision)
    capability = "IMAGE_TEXT_TO_TEXT";
  f->capabilities[0] = capability;
  f->ncapabilities = 1;
}
