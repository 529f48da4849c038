/* Which build of the library this is. */
#include "base/build_id.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct search {
    unsigned char *id;
    size_t bytes;
} search;

static size_t padded(size_t bytes) {
    return (bytes + 3) / 4 * 4;
}

/* Looks through one segment of notes. */
static void read_notes(const unsigned char *notes, size_t bytes, search *s) {
    while (bytes >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, notes, sizeof note);
        size_t whole = sizeof note + padded(note.n_namesz) + padded(note.n_descsz);
        if (whole > bytes)
            return;
        const unsigned char *name = notes + sizeof note;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 &&
            note.n_descsz <= COP_BUILD_ID_MOST) {
            s->bytes = note.n_descsz;
            memcpy(s->id, name + padded(note.n_namesz), s->bytes);
            return;
        }
        notes += whole;
        bytes -= whole;
    }
}

static bool holds(const struct dl_phdr_info *object, uintptr_t address) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && address >= begin && address - begin < segment->p_memsz)
            return true;
    }
    return false;
}

static int look_at(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    if (!holds(object, (uintptr_t)&look_at))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_NOTE)
            read_notes((const unsigned char *)(object->dlpi_addr + segment->p_vaddr),
                       segment->p_memsz, context);
    }
    return 1;
}

size_t cop_build_id(unsigned char id[COP_BUILD_ID_MOST]) {
    search s = {.id = id};
    dl_iterate_phdr(look_at, &s);
    return s.bytes;
}
