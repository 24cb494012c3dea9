;; Finds a million things wrong with its settings.
;;@check
    (drop (memory.grow (i32.const 800)))
    (i32.store (i32.const 640) (i32.const 262144))
    (i32.store (i32.const 644) (i32.const 1000000))
