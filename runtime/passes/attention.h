/* What attention.c finds, and attention_make.c makes an operator of. */
#ifndef COP_PASSES_ATTENTION_H
#define COP_PASSES_ATTENTION_H

#include "runtime/passes/views.h"

enum { COP_ATTENTION_MASKS = 4 };

/* Something that is added to scores, or that puts a number where it hides them. */
typedef struct attention_mask {
    int value;     /* what is added; of a Where the condition */
    int level;     /* the scores behind it: value of their shape there */
    double factor; /* of scores and mask, nearer to the softmax */
    bool where;
    bool hides; /* of a Where: the condition is true where scores are hidden; else where not */
    double number;
} attention_mask;

typedef struct attention_match {
    int q, k, v;    /* operands of the products; k is transposed */
    int scores;     /* of the first product */
    int product;    /* the node of the second one */
    double scale;   /* between product and softmax */
    double softcap; /* 0: none */
    bool guarded;   /* rows that see nothing are 0, otherwise not a number */
    int mask_count;
    attention_mask masks[COP_ATTENTION_MASKS]; /* nearest to the softmax first */
} attention_match;

/* Turns the nodes that end the match into Attention and what moves its result. Where an operand
 * cannot be had nothing is changed. */
coppice_status cop_make_attention(cop_shaped *p, const attention_match *m);

#endif
