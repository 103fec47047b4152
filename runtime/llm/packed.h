/*
 * packed.h: packed weights of a model in a file, from which the next start takes them.
 *
 * The file is <fingerprint>.packed in a folder.  Its head says what model it was made of (names, types, shapes
 * and samples of tensors, by the fingerprint; sizes and times of change of the files) and for each matrix the tensor,
 * format, shape, layout, a sample of how this library packs for its kernel, and a sum of its bytes.  A matrix for which
 * all of this agrees is read instead of packed; when one does not, it is packed, and the file written anew.
 */
#ifndef QN_PACKED_H
#define QN_PACKED_H

#include "../quern.h"

struct qn_packed;

/* A model: its open files and its fingerprint. */
struct qn_packed_model {
	struct quern_engine *engine;
	struct quern_gguf *const *files;
	int n_files;
	uint64_t fingerprint;
};

/*
 * The folder is made when there is none.  Whatever is wrong with folder or file only means that weights are
 * packed.  NULL without memory.
 */
struct qn_packed *qn_packed_open(const struct qn_packed_model *model, const char *folder);

/*
 * Packs the weights of a tensor or takes them from the file; those that were packed go into a new one.
 * With the first that has to be packed, the model's files are expected to be read as a whole.
 */
int qn_packed_pack(struct qn_packed *packed, const char *name, const struct quern_weights *weights,
		   struct quern_matrix **matrix, struct quern_error *err);

/* From now on what is taken is mapped, as it is where memory is slow to come: for tests. */
void qn_packed_map(struct qn_packed *packed);

/*
 * Ends all.  is_whole: every matrix was packed or taken, and a new file, if there was reason to begin one, takes the
 * old one's place; else it is given up.  -1 with a sentence: there should be a new file and is none.  NULL is allowed.
 */
int qn_packed_close(struct qn_packed *packed, int is_whole, struct quern_error *err);

#endif
