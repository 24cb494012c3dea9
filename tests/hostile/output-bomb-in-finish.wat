;; Returns ten million rows at the end of the table.
;;@finish
    (drop (memory.grow (i32.const 800)))
    (i32.store (i32.const 516) (i32.const 262144))
    (i32.store (i32.const 520) (i32.const 10000000))
