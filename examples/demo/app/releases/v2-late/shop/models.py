"""The tables of release 2."""

from django.db import models


class Author(models.Model):
    name = models.TextField()

    class Meta:
        db_table = "authors"


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    title = models.TextField()
    price_cents = models.IntegerField()

    class Meta:
        db_table = "books"
        indexes = [models.Index(fields=["title"], name="books_title")]


class Customer(models.Model):
    email = models.TextField()

    class Meta:
        db_table = "customers"


class Order(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    receipt = models.BigIntegerField(unique=True)
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
    status = models.TextField()
    note = models.TextField()

    class Meta:
        db_table = "orders"


class Tick(models.Model):
    counter = models.BigIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "ticks"
