;; Has more memories than a mapper may have, all empty.
;;@module
  (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0) (memory 0)
