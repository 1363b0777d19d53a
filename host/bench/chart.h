/* Line charts as inline SVG, coloured by the page's style. */
#ifndef HOST_BENCH_CHART_H
#define HOST_BENCH_CHART_H

#include "base/buf.h"

#include <stdbool.h>

#define CHART_LINES 24u /* more are left out */
#define CHART_POINTS 1024u

struct chart {
  char title[128];
  const char *x_name, *y_name; /* borrowed */
  struct {
    char name[96];
    unsigned color;
    bool dashed;
    size_t first, n; /* of points */
  } lines[CHART_LINES];
  struct {
    double x, y;
    char label[32];
  } points[CHART_POINTS];
  size_t nlines, npoints;
  bool full; /* the line begun last was left out */
};

void chart_init(struct chart *c, const char *title, const char *x_name, const char *y_name);
void chart_line(struct chart *c, unsigned color, bool dashed, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void chart_point(struct chart *c, double x, double y, const char *label); /* of the line begun last */
void chart_write(const struct chart *c, struct buf *out);                 /* a <figure> */

/* Appends TEXT with HTML's own characters escaped. */
void html_text(struct buf *out, const char *text);

#endif
