;; Is a component, but no mapper.
(component
  (instance $empty)
  (export "acme:tools/greeter@1.0.0" (instance $empty))
)
