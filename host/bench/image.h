/* Pictures to send: PNG files of coloured squares, as data URLs. */
#ifndef HOST_BENCH_IMAGE_H
#define HOST_BENCH_IMAGE_H

#include "bench/random.h"

/* new: "data:image/png;base64,..." of WIDTH x HEIGHT pixels, other squares for other states of R; NULL: memory ran out.
 */
char *image_url(struct random *r, uint32_t width, uint32_t height);

#endif
