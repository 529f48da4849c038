/* Matching masks to the weights of another export: what the search and the decisions share. */
#ifndef COP_PRUNE_MATCH_H
#define COP_PRUNE_MATCH_H

#include "graph/constants.h"
#include "graph/mask.h"

/* A tensor as a mask could lie on it. Rank 2 tensors whose dims are the mask's the other way round
 * are candidates too, square ones both ways. */
typedef struct cop_candidate {
    size_t tensor; /* index in the model's constants */
    bool turned;
} cop_candidate;

/* Masks of one shape (of rank 2: and of its transpose), with the tensors they could belong to. */
typedef struct cop_match_group {
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK]; /* of rank 2: the smaller first */
    size_t *masks, mask_count;      /* indices in the set */
    cop_candidate *candidates;
    size_t candidate_count;
    double *agreement; /* [mask][candidate], agreement.h; NaN: says nothing */
    double noise;      /* standard deviation of the agreement of what has nothing in common */
} cop_match_group;

typedef struct cop_matcher {
    coppice_match match; /* first member: what the caller sees */
    cop_arena arena;     /* of rows and reasons, which live as long as the match */
    cop_arena work;      /* of everything else */
    const coppice_masks *masks;
    const cop_constants *constants;
    const cop_constant **inner_mask; /* per constant: the mask that the model has for it, or NULL */
    bool *excluded;                  /* per constant: no candidate, it is such a mask itself */
    bool *claimed;                   /* per constant: a mask has it */
    bool *settled;                   /* per mask: its row is final */
    int64_t *given;                  /* per mask: index of the constant that the caller gave it,
                                        COP_GIVEN_NONE or COP_GIVEN_SKIP */
    cop_match_group *groups;
    size_t group_count, group_capacity;
} cop_matcher;

enum { COP_GIVEN_NONE = -1, COP_GIVEN_SKIP = -2 };

/* Is the mask on its side in the group? */
bool cop_mask_turned(const cop_match_group *group, const cop_mask *mask);

/* Fills the rows. */
coppice_status cop_match_decide(cop_matcher *matcher, coppice_error *err);

#endif
