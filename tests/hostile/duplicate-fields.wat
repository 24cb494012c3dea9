;; Has two fields of one name.
;;@open
    (memory.copy (i32.const 160) (i32.const 128) (i32.const 28))
    (memory.copy (i32.const 188) (i32.const 128) (i32.const 28))
    (i32.store (i32.const 276) (i32.const 160))
    (i32.store (i32.const 280) (i32.const 2))
