/* NonMaxSuppression: per batch and class the boxes with the best scores that do not overlap. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/util.h"

typedef struct nms_candidate {
    float score;
    int64_t box;
} nms_candidate;

typedef struct nms_box {
    float y0, x0, y1, x1, area;
} nms_box;

typedef struct nms_job {
    bool center, has_score_threshold;
    double iou_threshold, score_threshold;
    int64_t batches, classes, boxes, keep; /* keep: at most this many per class */
    const float *corners, *scores;
    nms_candidate *candidates; /* boxes of them */
    nms_box *chosen;           /* of this class */
    int64_t *out;              /* triples: batch, class, box */
    size_t count, capacity;
} nms_job;

static nms_box read_box(const nms_job *job, int64_t batch, int64_t box) {
    const float *c = job->corners + (batch * job->boxes + box) * 4;
    nms_box b = {fminf(c[0], c[2]), fminf(c[1], c[3]), fmaxf(c[0], c[2]), fmaxf(c[1], c[3]), 0};
    if (job->center) /* x, y, width, height */
        b = (nms_box){c[1] - c[3] / 2, c[0] - c[2] / 2, c[1] + c[3] / 2, c[0] + c[2] / 2, 0};
    b.area = (b.y1 - b.y0) * (b.x1 - b.x0);
    return b;
}

static bool overlaps(const nms_box *a, const nms_box *b, double threshold) {
    float height = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
    float width = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
    if (!(height > 0) || !(width > 0) || !(a->area > 0) || !(b->area > 0))
        return false;
    float both = height * width;
    return both / (a->area + b->area - both) > (float)threshold;
}

/* Best score first, of equal ones the first box; NaN last. */
static int by_score(const void *a, const void *b) {
    const nms_candidate *x = a, *y = b;
    if (x->score > y->score || (y->score != y->score && x->score == x->score))
        return -1;
    if (x->score < y->score || (x->score != x->score && y->score == y->score))
        return 1;
    return x->box < y->box ? -1 : x->box > y->box;
}

static coppice_status add_result(const cop_call *call, nms_job *job, int64_t batch, int64_t class,
                                 int64_t box) {
    if (cop_grow(&job->out, job->count, &job->capacity, 3 * sizeof *job->out))
        return cop_fail_memory(call->err, job->count);
    memcpy(job->out + 3 * job->count++, (int64_t[]){batch, class, box}, 3 * sizeof *job->out);
    return COPPICE_OK;
}

static coppice_status choose(const cop_call *call, nms_job *job, int64_t batch, int64_t class) {
    const float *scores = job->scores + (batch * job->classes + class) * job->boxes;
    size_t count = 0;
    int64_t chosen = 0;
    for (int64_t i = 0; i < job->boxes; i++) {
        if (!job->has_score_threshold || scores[i] > (float)job->score_threshold)
            job->candidates[count++] = (nms_candidate){scores[i], i};
    }
    qsort(job->candidates, count, sizeof *job->candidates, by_score);
    for (size_t i = 0; i < count && chosen < job->keep; i++) {
        nms_box box = read_box(job, batch, job->candidates[i].box);
        bool free = true;
        for (int64_t j = 0; free && j < chosen; j++)
            free = !overlaps(&job->chosen[j], &box, job->iou_threshold);
        if (!free)
            continue;
        job->chosen[chosen++] = box;
        COP_TRY(add_result(call, job, batch, class, job->candidates[i].box));
    }
    return COPPICE_OK;
}

/* Reads and checks all inputs. */
static coppice_status nms_inputs(const cop_call *call, nms_job *job) {
    const coppice_tensor *boxes = cop_in(call, 0), *scores = cop_in(call, 1);
    bool present;
    double keep = 0;
    COP_TRY(cop_need_type(call, 1, F32));
    COP_TRY(cop_need_rank(call, 0, 3));
    COP_TRY(cop_need_rank(call, 1, 3));
    if (boxes->dims[2] != 4 || scores->dims[0] != boxes->dims[0] ||
        scores->dims[2] != boxes->dims[1])
        return cop_fail(call->err, COPPICE_BAD_MODEL,
                        "boxes are %s, scores %s, expected [batch,boxes,4] and "
                        "[batch,classes,boxes]",
                        cop_shape_text(boxes).s, cop_shape_text(scores).s);
    COP_TRY(cop_attr_bool(call, "center_point_box", false, &job->center));
    COP_TRY(cop_input_number(call, 2, &keep, &present));
    COP_TRY(cop_input_number(call, 3, &job->iou_threshold, &present));
    COP_TRY(cop_input_number(call, 4, &job->score_threshold, &job->has_score_threshold));
    if (!(job->iou_threshold >= 0 && job->iou_threshold <= 1))
        return cop_fail(call->err, COPPICE_BAD_DATA, "iou_threshold '%s' is %g, expected 0 .. 1",
                        cop_in_name(call, 3), job->iou_threshold);
    job->batches = boxes->dims[0];
    job->boxes = boxes->dims[1];
    job->classes = scores->dims[1];
    job->keep = keep > (double)job->boxes ? job->boxes : keep > 0 ? (int64_t)keep : 0;
    job->corners = boxes->data;
    job->scores = scores->data;
    return COPPICE_OK;
}

static coppice_status nonmaxsuppression_infer(cop_call *call) {
    nms_job job = {0};
    coppice_status status = nms_inputs(call, &job);
    return status == COP_NEEDS_DATA ? COPPICE_OK : status;
}

static coppice_status nonmaxsuppression_run(const cop_call *call) {
    nms_job job = {0};
    coppice_status status = COPPICE_OK;
    COP_TRY(nms_inputs(call, &job));
    job.candidates = cop_calloc((size_t)job.boxes + 1, sizeof *job.candidates);
    job.chosen = cop_calloc((size_t)job.keep + 1, sizeof *job.chosen);
    if (!job.candidates || !job.chosen)
        status = cop_fail_memory(call->err, (size_t)job.boxes * sizeof *job.candidates);
    for (int64_t i = 0; !status && job.keep && i < job.batches * job.classes; i++)
        status = choose(call, &job, i / job.classes, i % job.classes);
    if (!status)
        status = cop_out_tensor(call, 0, COPPICE_TYPE_INT64, 2, (int64_t[]){(int64_t)job.count, 3});
    if (!status && job.count && cop_out(call, 0)->data)
        memcpy(cop_out(call, 0)->data, job.out, job.count * 3 * sizeof *job.out);
    cop_free(job.candidates);
    cop_free(job.chosen);
    cop_free(job.out);
    return status;
}

/* ---- rows of the operator table ---- */

/* clang-format off */
const cop_op cop_ops_nms[] = {
    {.name = "NonMaxSuppression", .since = 10, .min_inputs = 2, .max_inputs = 5, .max_outputs = 1,
     .types = F32, .flags = COP_OP_DYNAMIC, INFER(nonmaxsuppression), RUN(nonmaxsuppression)},
    {.name = NULL},
};
/* clang-format on */
