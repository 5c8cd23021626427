"""The rules of an object store: pure, synchronous, standard library only.

Words: a **bucket** holds **keys**; each version of a key is one **volume**, the version's data
wherever it lies. A volume's bytes are one or more **extents**; an extent is coded in **stripes**,
each stripe into data and parity **cells**; the cells with one index, in order, are a **shard**,
one file on one **disk**. A **tier** is six disks (hot, warm) or a remote S3 (cold) with one
price and latency. A **decision** says which tier a volume belongs in, and why; a **move** carries
it out. Everything that happens is an **event** (see `events`).
"""
