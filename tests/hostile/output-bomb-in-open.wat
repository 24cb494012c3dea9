;; Wants ten million columns.
;;@open
    (drop (memory.grow (i32.const 800)))
    (i32.store (i32.const 264) (i32.const 10000000))
