/*
 * gguf_write.h: writes a GGUF file (version 3) front to back, with little memory.
 *
 * Keys come first, then what tensors there are, then their data in the same order, in pieces of any
 * size.  The first failure is kept and all later calls do nothing, so that only
 * qn_gguf_write_close needs to be asked.  The file has another name in the same folder until it is
 * whole and on the disk; only then does it take the place of what had its name before.
 */
#ifndef QN_GGUF_WRITE_H
#define QN_GGUF_WRITE_H

#include "../quern.h"

struct qn_gguf_write;

/*
 * Starts a file.  0, or -1 with a sentence: the folder cannot be written to, or path is something
 * else than a file.  A writer belongs to one thread at a time.
 */
int qn_gguf_write_open(struct qn_gguf_write **file, const char *path, struct quern_error *err);

/* A key with a number, a bool or a string; "general.alignment" (u32) is obeyed as well. */
void qn_gguf_write_key(struct qn_gguf_write *file, const struct quern_value *key);
void qn_gguf_write_u32(struct qn_gguf_write *file, const char *name, uint32_t value);
void qn_gguf_write_f32(struct qn_gguf_write *file, const char *name, float value);
void qn_gguf_write_bool(struct qn_gguf_write *file, const char *name, int value);
void qn_gguf_write_string(struct qn_gguf_write *file, const char *name, const char *value);

/* A key with an array, after which each of its elements has to be given. */
void qn_gguf_write_array(struct qn_gguf_write *file, const char *name, int element_type,
			 uint64_t n_elements);
void qn_gguf_write_element(struct qn_gguf_write *file, const struct quern_value *element);

/* A key of an open file as it is there. */
void qn_gguf_write_copy(struct qn_gguf_write *file, const struct quern_gguf *from,
			const struct quern_value *key);

/* general.file_type of a model whose matrices are of a type, and general.quantization_version. */
void qn_gguf_write_file_type(struct qn_gguf_write *file, int type);

/*
 * Announces a tensor: name (at most 63 bytes), type, n_dims and dims are used.  dims[0] must be a
 * multiple of the type's block; of I2_S the number of values one of 128.
 */
void qn_gguf_write_tensor(struct qn_gguf_write *file, const struct quern_tensor *tensor);

/* Bytes of such a tensor's data; those of I2_S end with 32 for its scale. */
uint64_t qn_gguf_write_tensor_bytes(const struct quern_tensor *tensor);

/* The next bytes of data; they may not reach from one tensor into the next. */
void qn_gguf_write_data(struct qn_gguf_write *file, const void *data, size_t n_bytes);

/* Has a call failed?  Spares work whose result nobody would get. */
int qn_gguf_write_has_failed(const struct qn_gguf_write *file);

/* Ends the file and frees the writer; -1 with a sentence: there is no new file. */
int qn_gguf_write_close(struct qn_gguf_write *file, struct quern_error *err);

/* Gives the file up and frees the writer.  NULL is allowed. */
void qn_gguf_write_abort(struct qn_gguf_write *file);

#endif
