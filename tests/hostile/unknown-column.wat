;; Wants the 1000th column.
;;@open
    (i32.store (i32.const 64) (i32.const 999))
